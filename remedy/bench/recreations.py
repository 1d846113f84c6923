"""Containers made again under load, with the watcher at work: who answers, what is lost, when are the rules right."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any

from remedy.bench.load_model import LoadOrder, Vantage
from remedy.bench.loading import Loading
from remedy.bench.loss import Case, case_host, run_remedy, wait_until_served
from remedy.bench.priority import favoured
from remedy.bench.recreation_judge import Judged, Spell, judge
from remedy.bench.recreation_moves import Move, moves
from remedy.bench.rule_times import RulesSeen
from remedy.bench.vantages import BALANCER, GATEWAY, container_netns
from remedy.errors import LabError
from remedy.frozen import Frozen
from remedy.host.namespaces import run_in_network_namespace
from remedy.lab import Host
from remedy.lab.containers import CONTAINER_IMAGE
from remedy.spec.models import HostPort
from remedy.verify.connect import connect

Say = Callable[[str], None]

SPEC = "/root/remedy.yaml"
BACKENDS = 6
WORKERS = 2  # each makes its own half of the backends again, at the same time as the other
FIRST_PORT = 5001
LISTEN = 8080
SETTLE_SECONDS = 2.0
LISTEN_SECONDS = 20.0
HOLD_SECONDS = 15.0
INTERVAL_SECONDS = 0.03
_SPEC = """\
version: 1
load_balancer: dev1-haproxy-1
backends:
  - {{containers: [{names}], port: 8080}}
remedies:
"""
HAIRPIN = ("hairpin: true",)
WITH_NOTRACK = (*HAIRPIN, "user_network: remedy-lb", "notrack: true")


class RecreationsResult(Frozen):
    """One host. plan_is_empty: at the end a fresh plan wants nothing, and status sees no drift."""

    engine: str
    firewall: str
    remedies: tuple[str, ...]
    seed: int
    seconds: float
    judged: Judged
    plan_is_empty: bool

    @property
    def keeps_promise(self) -> bool:
        """See Judged; and the rules are those of a fresh plan."""
        return self.plan_is_empty and self.judged.keeps_promise


def measure_recreations(
    engine: str,
    firewall: str,
    *,
    recreations: int,
    seed: int,
    say: Say,
    remedies: Sequence[str] = HAIRPIN,
    priority: int = 0,
) -> RecreationsResult:
    """Start a host, make containers again under load, take it down. Raises LabError, CommandError."""
    with case_host(Case(engine, firewall, BACKENDS + 1), f"bench-{os.getpid()}") as host, favoured(host, priority):
        return recreate_under_load(host, recreations=recreations, seed=seed, say=say, remedies=remedies)


def recreate_under_load(
    host: Host, *, recreations: int, seed: int, say: Say, remedies: Sequence[str] = HAIRPIN
) -> RecreationsResult:
    """The same on a host of the topology `operator` that has BACKENDS backends."""
    names = tuple(f"dev1-api-{number}" for number in range(1, BACKENDS + 1))
    vantages = _vantages(host, names)
    wait_until_served(vantages)
    host.write_file(SPEC, _SPEC.format(names=", ".join(names)) + "".join(f"  {one}\n" for one in remedies))
    run_remedy(host, "-c", SPEC, "watch", "--install")
    run_remedy(host, "-c", SPEC, "apply", "--yes")
    say(f"{host.engine} {host.firewall}: {recreations} recreations, seed {seed}")
    order = LoadOrder(
        vantages=vantages,
        interval_seconds=INTERVAL_SECONDS,
        keep_alive_interval_seconds=0.12,
        most_seconds=3600.0,
        most_connections=10_000_000,
        most_incidents=100_000,
    )
    with watched_rules(host) as seen, Loading(order) as loading:
        began = time.monotonic()
        with Recreating(host, names) as recreating:
            recreating.run(recreations, seed)
            time.sleep(SETTLE_SECONDS)
            spells = recreating.spells()
        seconds = time.monotonic() - began
    judged = judge(spells, seen, loading.result, {vantage.name: vantage.expects for vantage in vantages})
    return RecreationsResult(
        engine=host.engine,
        firewall=host.firewall,
        remedies=tuple(one.partition(":")[0] for one in remedies),
        seed=seed,
        seconds=round(seconds, 1),
        judged=judged,
        plan_is_empty=_plan_is_empty(host),
    )


def _vantages(host: Host, names: Sequence[str]) -> tuple[Vantage, ...]:
    inside, outside = container_netns(host, BALANCER), str(host.external.netns_path)
    return tuple(
        Vantage(name=f"{who} -> {name}", netns=netns, address=address, port=FIRST_PORT + number, expects=name)
        for number, name in enumerate(names)
        for who, netns, address in (("container", inside, GATEWAY), ("external", outside, host.address))
    )


@contextmanager
def watched_rules(host: Host) -> Iterator[list[RulesSeen]]:
    """The changes of the rules, as they come; complete after the `with` block."""
    seen: list[RulesSeen] = []
    command = [sys.executable, "-m", "remedy.bench.rule_times", host.firewall]
    watching = host.popen(command, stdout=subprocess.PIPE)

    def read() -> None:
        for line in watching.stdout or ():
            seen.append(RulesSeen.model_validate_json(line))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield seen
    finally:
        watching.kill()
        watching.wait()
        reader.join()


def _plan_is_empty(host: Host) -> bool:
    """Hairpin mode of new ports comes with the full look, when it is quiet."""
    deadline = time.monotonic() + HOLD_SECONDS
    while time.monotonic() < deadline:
        plan = host.run(["remedy", "-c", SPEC, "plan", "--detailed-exitcode"], check=False)
        status = host.run(["remedy", "-c", SPEC, "status", "--detailed-exitcode"], check=False)
        if plan.status == 0 and status.status == 0:
            return True
    return False


class Recreating:
    """Removes containers and makes them again, and notes when what happened. For the length of a `with` block."""

    def __init__(self, host: Host, names: Sequence[str]) -> None:
        self._host = host
        self._names = tuple(names)
        self._ports = {name: FIRST_PORT + number for number, name in enumerate(names)}
        self._client = host.docker().api
        self._listener = host.docker().api
        self._events: dict[tuple[str, str], float] = {}  # id, start or die -> Unix time
        self._labels: dict[str, dict[str, str]] = {}  # compose's: who makes a service again does it by them
        self._spells: list[tuple[str, Spell]] = []
        self._strangers = count(1)
        self._listening = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Recreating:
        since = int(time.time())
        self._stream = self._listener.events(
            decode=True, since=since, filters={"type": "container", "event": ["start", "die"]}
        )
        self._listening.start()
        for name in self._names:
            known = self._client.inspect_container(name)
            self._labels[name] = known["Config"]["Labels"] or {}
            self._spells.append((known["Id"], Spell(name, self._ports[name], _address(known), 0.0, 0.0, 0.0)))
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._client.close()
        self._listener.close()

    def run(self, recreations: int, seed: int) -> None:
        """Raises what the engine's client raises, LabError."""
        with ThreadPoolExecutor(WORKERS) as pool:
            working = [
                pool.submit(self._work, self._names[w::WORKERS], _share(recreations, w), f"{seed}/{w}")
                for w in range(WORKERS)
            ]
        for work in working:
            work.result()

    def spells(self) -> list[Spell]:
        """Everybody's, with the moments that the engine's events tell."""
        return [
            replace(
                spell,
                started=self._events.get((identity, "start"), spell.started),
                died=self._events.get((identity, "die")),
            )
            for identity, spell in self._spells
        ]

    def _listen(self) -> None:
        try:
            for event in self._stream:
                self._events[event["Actor"]["ID"], event["Action"]] = event["timeNano"] / 1e9
        except Exception:  # the stream is closed below it at the end
            return

    def _work(self, names: Sequence[str], recreations: int, seed: str) -> None:
        stranger: str | None = None
        for move in moves(names, recreations, seed):
            stranger = self._make(move, stranger)
            time.sleep(move.pause)
        if stranger is not None:
            self._remove(stranger)

    def _make(self, move: Move, stranger: str | None) -> str | None:
        """Return the stranger that is left, who keeps the address that it took until the next move."""
        asked = {}
        for name in move.removed:
            asked[name] = time.time()
            self._remove(name)
        taken = stranger
        if move.kind == "taken":
            taken = f"stranger-{next(self._strangers)}"
            self._start(taken, None, time.time())
        for name in move.started:
            self._start(name, self._ports[name], asked[name])
        if taken != stranger and stranger is not None:
            self._remove(stranger)
        return taken

    def _remove(self, name: str) -> None:
        self._client.remove_container(name, force=True)

    def _start(self, name: str, port: int | None, removing: float) -> None:
        made = self._client.create_container(
            CONTAINER_IMAGE,
            command=["nginx"],
            name=name,
            environment={"LAB_NAME": name},
            ports=[LISTEN],
            labels=self._labels.get(name, {}),
            host_config=self._client.create_host_config(port_bindings={LISTEN: port} if port else {}),
        )
        self._client.start(made)
        address = _address(self._client.inspect_container(made))
        spell = Spell(name, port, address, removing, time.time(), 0.0)
        spell = replace(spell, listening=self._wait_until_listening(name, address))
        self._spells.append((made["Id"], spell))

    def _wait_until_listening(self, name: str, address: str) -> float:
        target = HostPort.parse(f"{address}:{LISTEN}")
        deadline = time.monotonic() + LISTEN_SECONDS
        while not run_in_network_namespace(self._host.init_pid, lambda: connect(target)).worked:
            if time.monotonic() > deadline:
                raise LabError(f"{name} does not take connections", where=str(target))
            time.sleep(0.01)
        return time.time()


def _address(inspected: dict[str, Any]) -> str:
    return str(inspected["NetworkSettings"]["Networks"]["bridge"]["IPAddress"])


def _share(recreations: int, worker: int) -> int:
    return recreations // WORKERS + (worker < recreations % WORKERS)
