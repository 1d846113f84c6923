"""The accept ahead of the engine's rules: it lets our connections through, stays ahead, and leaves nothing."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from firewall_world import LAN, LAN6, OUTSIDE, PORT, Answer, World, redirect, ruleset, world

from remedy.errors import CommandError
from remedy.facts.model import FirewallBackend
from remedy.firewall import legacy_table
from remedy.firewall.forward_guard import ForwardGuard, forward_guard, remove_forward_guard
from remedy.firewall.guard_loop import GuardCount
from remedy.firewall.legacy_table import LegacyTable, change_table, xtables_lock
from remedy.firewall.writer import select_writer

pytestmark = pytest.mark.lab

BACKENDS = {"legacy": FirewallBackend.IPTABLES_LEGACY, "nft": FirewallBackend.IPTABLES_NFT}
OURS = "REMEDY-BRIDGING-FORWARD"
RULES = ruleset(redirect(from_own_bridge=True, from_elsewhere=True), forward=True)
REACHED = Answer("c1", OUTSIDE)


@dataclass
class Guarded:
    """A world whose engine drops what it has not published."""

    world: World
    variant: str

    @property
    def backend(self) -> FirewallBackend:
        return BACKENDS[self.variant]

    def iptables(self, *commands: str) -> str:
        return self.world.host.run("; ".join(f"iptables-{self.variant} {command}" for command in commands))

    def write(self) -> None:
        self.world.host.call(lambda: select_writer(self.backend).write(RULES))

    def remove(self) -> None:
        self.world.host.call(lambda: select_writer(self.backend).remove("bridging"))

    def guard(self) -> ForwardGuard:
        return forward_guard(self.backend, RULES)

    def ensure(self) -> bool:
        return self.world.host.call(self.guard().ensure_first)

    def forward(self) -> list[str]:
        return [line.split(" -j ")[-1] for line in self.iptables("-S FORWARD").split("\n") if " -j " in line]

    def engine_restarts(self) -> None:
        """What 28.5 does to FORWARD and its chains, in its order, by iptables.

        It takes 0.4-0.5 s from its jump to the first drop, and 30-60 ms for each accept, when the machine is busy;
        here it is faster.
        """
        self.iptables("-D FORWARD -j DOCKER-FORWARD", "-F DOCKER", "-I FORWARD -j DOCKER-FORWARD")
        time.sleep(0.03)
        self.iptables("-A DOCKER ! -i docker0 -o docker0 -j DROP")
        time.sleep(0.05)
        self.iptables("-I DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp --dport 8080 -j ACCEPT")
        self.iptables("-D FORWARD -j DOCKER-USER", "-I FORWARD -j DOCKER-USER")


@pytest.fixture(params=["legacy", "nft"])
def guarded(request: pytest.FixtureRequest) -> Iterator[Guarded]:
    with world() as built:
        built.engine_writes(request.param)
        subject = Guarded(built, request.param)
        subject.iptables("-P FORWARD DROP", "-A DOCKER ! -i docker0 -o docker0 -j DROP")
        before = built.rules()
        yield subject
        if subject.forward() == ["DROP", "DOCKER-USER", "DOCKER-FORWARD"]:
            subject.remove()
            assert built.rules() == before


# Connects every few milliseconds until its input ends; prints how often, and how often nobody answered in time
# (a lost SYN is sent again after one second). A process of its own, as real clients are.
CLIENT = """
import select, socket, sys, time
tried = lost = 0
while not select.select([sys.stdin], [], [], 0.002)[0]:
    tried += 1
    with socket.socket() as client:
        client.settimeout(0.5)
        try:
            client.connect((sys.argv[1], int(sys.argv[2])))
            client.send(b"?")
            lost += not client.recv(100).startswith(b"c1 ")
        except OSError:
            lost += 1
print(tried, lost)
"""


def restarts_under_fire(guarded: Guarded, times: int) -> tuple[int, int]:
    command = ["ip", "netns", "exec", guarded.world.outside.name, sys.executable, "-c", CLIENT, LAN, str(PORT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        time.sleep(0.2)
        for _ in range(times):
            guarded.engine_restarts()
            time.sleep(0.03)
        output, _ = client.communicate("stop")
    tried, lost = output.split()
    return int(tried), int(lost)


# The loop as apply runs it: in a process whose main thread waits.
LOOP = """
import dataclasses, json, sys
from remedy.facts.model import FirewallBackend
from remedy.firewall.forward_guard import forward_guard
from remedy.firewall.guard_loop import GuardLoop
from remedy.firewall.ruleset import Ruleset
with GuardLoop(forward_guard(FirewallBackend(sys.argv[1]), Ruleset.model_validate_json(sys.argv[2]))) as loop:
    print("started", flush=True)
    sys.stdin.readline()
print(json.dumps(dataclasses.asdict(loop.count)))
"""


def under_loop(guarded: Guarded, times: int) -> tuple[tuple[int, int], GuardCount]:
    inside = ["ip", "netns", "exec", guarded.world.host.name]
    command = [*inside, sys.executable, "-c", LOOP, guarded.backend.value, RULES.model_dump_json()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as loop:
        assert loop.stdout is not None
        assert loop.stdout.readline() == "started\n"
        found = restarts_under_fire(guarded, times)
        output, _ = loop.communicate("stop\n")
    return found, GuardCount(**json.loads(output))


def test_without_the_guard_connections_are_lost(guarded: Guarded) -> None:
    guarded.world.host.call(
        lambda: select_writer(guarded.backend).write(RULES.model_copy(update={"forward_guard": False}))
    )
    tried, lost = restarts_under_fire(guarded, 2)
    assert lost > 0
    assert tried > lost


def test_under_the_loop_none_is_lost(guarded: Guarded) -> None:
    guarded.write()
    (tried, lost), count = under_loop(guarded, 15)
    assert (lost, count.errors) == (0, 0), count
    assert tried > 100
    assert count.moves >= 15
    assert guarded.forward()[0] == OURS
    assert guarded.world.host.call(lambda: select_writer(guarded.backend).read_differences(RULES)) == ()


def test_the_jump_is_never_absent_while_it_moves(guarded: Guarded) -> None:
    guarded.write()
    stop, absent, looks = threading.Event(), [], []

    def watch() -> None:
        reader = forward_guard(guarded.backend, RULES)._forwards[0]
        while not stop.is_set():
            targets = reader.targets()
            looks.append(targets)
            if OURS not in targets:
                absent.append(targets)

    watcher = threading.Thread(target=watch)
    guarded.world.host.call(watcher.start)
    try:
        moves = 0
        for _ in range(40):
            guarded.iptables("-D FORWARD -j DOCKER-FORWARD", "-I FORWARD -j DOCKER-FORWARD")
            moves += guarded.ensure()
    finally:
        stop.set()
        watcher.join()
    assert (moves, absent) == (40, [])
    assert len(looks) > 100


def test_foreign_rules_before_the_engines_stay_before_ours(guarded: Guarded) -> None:
    guarded.write()
    assert guarded.forward() == ["DROP", OURS, "DOCKER-USER", "DOCKER-FORWARD"]
    assert guarded.ensure() is False
    guarded.iptables("-I FORWARD -s 192.0.2.9/32 -j DROP")
    assert guarded.ensure() is False
    assert guarded.forward() == ["DROP", "DROP", OURS, "DOCKER-USER", "DOCKER-FORWARD"]


def test_the_operators_drops_still_count(guarded: Guarded) -> None:
    guarded.write()
    assert guarded.world.outside.connect(LAN) == REACHED
    guarded.iptables(f"-I DOCKER-USER -s {OUTSIDE}/32 -j DROP")
    assert guarded.world.outside.connect(LAN) is None


def test_nothing_else_is_let_through(guarded: Guarded) -> None:
    guarded.write()
    guarded.world.outside.run(f"ip route add 172.17.0.0/16 via {LAN}")
    assert guarded.world.outside.connect("172.17.0.2", 8080) == REACHED, "published by the engine, routed"
    guarded.iptables("-D DOCKER 1")
    assert guarded.world.outside.connect("172.17.0.2", 8080) is None, "not translated by us"
    assert guarded.world.outside.connect(LAN) == REACHED


def test_a_flushed_guard_is_written_again(guarded: Guarded) -> None:
    guarded.write()
    guarded.iptables(f"-D FORWARD -m comment --comment remedy:bridging -j {OURS}", f"-F {OURS}", f"-X {OURS}")
    assert guarded.ensure() is True
    assert guarded.world.host.call(lambda: select_writer(guarded.backend).read_differences(RULES)) == ()


def test_two_jumps_become_one(guarded: Guarded) -> None:
    guarded.write()
    guarded.iptables(f"-A FORWARD -j {OURS}", f"-I FORWARD -j {OURS}")
    assert guarded.ensure() is True
    assert guarded.forward() == ["DROP", OURS, "DOCKER-USER", "DOCKER-FORWARD"]


def test_removing_is_idempotent_and_takes_every_jump(guarded: Guarded) -> None:
    guarded.write()
    guarded.iptables(f"-A FORWARD -s 192.0.2.7/32 -j {OURS}")
    for _ in range(2):
        guarded.world.host.call(lambda: remove_forward_guard(guarded.backend, "bridging"))
        assert guarded.forward() == ["DROP", "DOCKER-USER", "DOCKER-FORWARD"]
        assert OURS not in guarded.iptables("-S")


def test_both_families_are_guarded(guarded: Guarded) -> None:
    six = redirect(to_address="fd00:1::2", subnet="fd00:1::/64", from_elsewhere=True)
    both = ruleset(redirect(from_elsewhere=True), six, forward=True)
    host = guarded.world.host
    host.call(lambda: select_writer(guarded.backend).write(both))
    host.run(f"ip6tables-{guarded.variant} -I FORWARD -j DOCKER-USER; ip6tables-{guarded.variant} -P FORWARD DROP")
    assert guarded.world.outside.connect(LAN6) == Answer("c1", "fd98:77::2")
    assert host.call(forward_guard(guarded.backend, both).ensure_first) is True
    rules = [line.split(" -j ")[-1] for line in host.run(f"ip6tables-{guarded.variant} -S FORWARD").split("\n")[1:-1]]
    assert rules == [OURS, "DOCKER-USER", "DROP", "DOCKER-USER"]
    host.run(f"ip6tables-{guarded.variant} -D FORWARD -j DOCKER-USER; ip6tables-{guarded.variant} -P FORWARD ACCEPT")


def test_a_look_is_cheap(guarded: Guarded) -> None:
    guarded.write()
    guard = guarded.guard()

    def look() -> float:
        guard.ensure_first()
        started = time.perf_counter()
        for _ in range(200):
            guard.ensure_first()
        return (time.perf_counter() - started) / 200

    assert guarded.world.host.call(look) < 0.002


# --- what only iptables-legacy has -----------------------------------------------------------------------------


def test_a_table_that_somebody_changed_without_the_lock_is_changed_again() -> None:
    with world() as built:
        calls: list[int] = []

        def change(table: LegacyTable) -> None:
            calls.append(len(calls))
            if len(calls) == 1:
                built.c1.call(lambda: None)  # another thread is free meanwhile
                _iptables_without_lock(built, "-t nat -N SOMEBODYS")
            table.create_chain("REMEDY-BRIDGING-X")

        built.host.call(lambda: change_table("nat", 4, change))
        assert calls == [0, 1]
        assert {"-N SOMEBODYS", "-N REMEDY-BRIDGING-X"} <= set(built.host.run("iptables-legacy -t nat -S").split("\n"))


def _iptables_without_lock(built: World, arguments: str) -> None:
    subprocess.run(
        ["ip", "netns", "exec", built.host.name, "iptables-legacy", *arguments.split()],
        env={**os.environ, "XTABLES_LOCKFILE": f"/tmp/{built.host.name}.lock"},
        check=True,
    )
    Path(f"/tmp/{built.host.name}.lock").unlink()


def test_a_change_waits_for_the_lock_that_iptables_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "xtables.lock"
    monkeypatch.setenv("XTABLES_LOCKFILE", str(lock))
    with lock.open("w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        threading.Timer(0.2, lambda: fcntl.flock(holder, fcntl.LOCK_UN)).start()
        started = time.monotonic()
        with xtables_lock():
            assert time.monotonic() - started > 0.15
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(CommandError, match="lock"), xtables_lock(timeout=0.05):
            pass


def test_reading_and_removing_create_no_legacy_table() -> None:
    with world() as built:
        writer = select_writer(FirewallBackend.IPTABLES_LEGACY)
        built.host.call(lambda: writer.remove("bridging"))
        assert built.host.call(lambda: writer.read_differences(RULES)) != ()
        for family in (4, 6):
            assert built.host.call(lambda f=family: legacy_table.existing_tables(f)) == ()  # type: ignore[misc]
        built.host.call(lambda: writer.write(ruleset(redirect(from_own_bridge=True))))
        assert built.host.call(lambda: legacy_table.existing_tables(4)) == ("nat",)
        assert built.host.call(lambda: legacy_table.existing_tables(6)) == ()
