"""The writers and the guard on real Docker hosts: the engine restarts under fire, and everything is as before.

One host per engine and firewall. The steps run inside the host, with the remedy of this checkout; clients are
processes of their own: the external machine, the host's loopback, and a container (which meets itself too).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from remedy.lab import ENGINES, FIREWALLS, Host

pytestmark = pytest.mark.lab

CONTAINERS = 12
RESTARTS = 2  # the proxy off, and on again

# Every connection is new; one that takes half a second lost its SYN and sent it again after one.
CLIENT = """
import json, select, socket, sys, time
address, tried, slow, begun = sys.argv[1], 0, [], time.monotonic()
while not select.select([sys.stdin], [], [], 0.004)[0]:
    port, started = 5001 + tried % int(sys.argv[2]), time.monotonic()
    tried += 1
    answered = False
    with socket.socket() as client:
        client.settimeout(3)
        try:
            client.connect((address, port))
            client.send(b"GET / HTTP/1.0\\r\\n\\r\\n")
            answered = client.recv(300).startswith(b"HTTP/1.1 200")
        except OSError:
            pass
    if not answered or time.monotonic() - started > 0.5:
        slow.append((round(started - begun, 2), port, round(time.monotonic() - started, 2)))
print(json.dumps({"tried": tried, "slow": slow}))
"""

# Talks in lines: what it has done; then it waits for one line.
INSIDE = """
import json, pathlib, subprocess, sys, time
from remedy.facts.gathering import gather
from remedy.firewall.forward_guard import forward_guard
from remedy.firewall.guard_loop import GuardLoop
from remedy.firewall.iptables_variant import read_saved
from remedy.firewall.normal_form import differences, normalised
from remedy.firewall.ruleset import Ruleset
from remedy.firewall.writer import select_writer
from remedy.paths.published import published_ports
from remedy.plan.redirects import bridging_ruleset

def tell(**values):
    print(json.dumps(values), flush=True)
    sys.stdin.readline()

facts = gather()
variant = sys.argv[1]
ruleset = bridging_ruleset(facts, published_ports(facts))
backend = facts.firewall.backend
writer = select_writer(backend)
before = {family: normalised(read_saved(family, variant)) for family in (4, 6)}
bridges = {redirect.bridge for redirect in ruleset.redirects}
for bridge in bridges:
    pathlib.Path(f"/proc/sys/net/ipv4/conf/{bridge}/route_localnet").write_text("1")
    for mode in pathlib.Path(f"/sys/class/net/{bridge}/brif").glob("*/hairpin_mode"):
        mode.write_text("1")
writer.write(ruleset)
tell(backend=backend.value, redirects=len(ruleset.redirects), differences=writer.read_differences(ruleset))
with GuardLoop(forward_guard(backend, ruleset)) as loop:
    for restart in range(int(sys.argv[2])):
        settings = {"live-restore": True, "userland-proxy": restart % 2 == 1}
        pathlib.Path("/etc/docker/daemon.json").write_text(json.dumps(settings))
        subprocess.run(["systemctl", "reset-failed", "docker"], check=True)
        subprocess.run(["systemctl", "restart", "docker"], check=True)
        time.sleep(2)
tell(moves=loop.count.moves, errors=loop.count.errors, last_error=loop.count.last_error,
     differences=writer.read_differences(ruleset))
facts = gather()
present, told = writer.present_names(facts.firewall), writer.differences(ruleset, facts.firewall)
writer.remove("bridging")
after = {family: normalised(read_saved(family, variant)) for family in (4, 6)}
tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
left = [line for family in (4, 6) for line in differences(before[family], after[family])]
tell(present=present, told=told, left=left, nft_left="remedy" in tables)
"""


@pytest.mark.parametrize("firewall", FIREWALLS)
@pytest.mark.parametrize("engine", ENGINES)
def test_the_engine_restarts_under_the_rules_and_nobody_notices(
    lab_host: Callable[..., Host], engine: str, firewall: str
) -> None:
    host = lab_host(engine, firewall, scale={"api": CONTAINERS})
    switch_live_restore_on(host)
    wait_for_external(host)
    inside = Conversation(host.popen([sys.executable, "-c", INSIDE, firewall, str(RESTARTS)], **PIPES))
    written = inside.hear()
    assert written["differences"] == []
    assert written["backend"] == ("iptables-legacy" if firewall == "legacy" else "iptables-nft")
    assert written["redirects"] >= CONTAINERS

    container = str(container_pid_inside(host, "dev1-api-2"))
    own_network = ["nsenter", "-t", container, "-n", "--"]
    clients = {
        "external": host.external.popen(client(host.address), **PIPES),
        "loopback": host.popen(client("127.0.0.1"), **PIPES),
        "container": host.popen([*own_network, *client("172.17.0.1")], **PIPES),
    }
    time.sleep(0.3)
    guarded = inside.hear()
    told = {name: json.loads(process.communicate(b"stop")[0]) for name, process in clients.items()}
    assert {name: found["slow"] for name, found in told.items()} == {name: [] for name in clients}
    assert all(found["tried"] > 100 for found in told.values())
    assert (guarded["errors"], guarded["differences"]) == (0, []), guarded["last_error"]

    removed = inside.hear()
    assert removed == {"present": ["bridging"], "told": [], "left": left_by(engine, removed), "nft_left": False}
    inside.end()


def left_by(engine: str, removed: dict[str, object]) -> list[str]:
    """What the engine itself leaves when its proxy went off and on again (design: journalled by the action).

    20.10 forgets to take back `-o BRIDGE --src-type LOCAL -j MASQUERADE`.
    """
    lines = list(removed["left"])  # type: ignore[call-overload]
    if engine == "20.10":
        assert all("--src-type LOCAL -j MASQUERADE" in line for line in lines)
        return lines
    return []


PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}


class Conversation:
    """A program that tells a JSON line and waits for one of ours."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._waits = False

    def hear(self) -> dict[str, object]:
        """Let it go on, and read what it tells next."""
        if self._waits:
            self._say()
        self._waits = True
        assert self._process.stdout is not None
        return dict(json.loads(self._process.stdout.readline()))

    def end(self) -> None:
        self._say()
        assert self._process.wait(timeout=30) == 0

    def _say(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()


def client(address: str) -> list[str]:
    return [sys.executable, "-c", CLIENT, address, str(CONTAINERS)]


def switch_live_restore_on(host: Host) -> None:
    host.write_file("/etc/docker/daemon.json", '{"live-restore": true}')
    host.run(["systemctl", "reload", "docker"])
    for _ in range(50):
        if host.run(["docker", "info", "--format", "{{.LiveRestoreEnabled}}"]).stdout.strip() == "true":
            return
        time.sleep(0.1)
    raise AssertionError("live-restore does not come on")


def wait_for_external(host: Host) -> None:
    """The external machine may still know the address's last owner (ARP): 9 s until it asks again."""
    for _ in range(30):
        if host.external.run(["curl", "-sfm", "1", f"http://{host.address}:5001/"], check=False).status == 0:
            return
        time.sleep(0.2)
    raise AssertionError("the external machine does not reach the host")


def container_pid_inside(host: Host, name: str) -> int:
    return int(host.run(["docker", "inspect", "-f", "{{.State.Pid}}", name]).stdout)
