"""A scenario brought to life on a lab host: containers, the outside, foreign rules, the proxy's switch."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from remedy.errors import LabError
from remedy.facts.model import HostFacts
from remedy.lab import Host, lab_up
from remedy.lab.populate import populate, wait_for_containers
from remedy.truth.outside import Outside, serve
from remedy.truth.prober import let_errors_through
from remedy.truth.questions import SERVICES
from remedy.truth.scenario import ProxyMode, Scenario
from remedy.truth.services import service_command

DAEMON_JSON = "/etc/docker/daemon.json"
_ENGINE_SECONDS = 30.0
_BRIDGE_NF = ("net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables")


@dataclass(frozen=True, slots=True)
class Living:
    """A host that runs, and the machine outside."""

    host: Host
    outside: Outside

    def facts(self) -> HostFacts:
        """What `remedy facts` on that host says."""
        return HostFacts.model_validate_json(self.host.run(["remedy", "facts"], timeout=60).stdout)

    def turn_bridge_nf(self) -> None:
        """Set both bridge-nf-call settings to what they are not."""
        value = self.host.run(["sysctl", "-n", _BRIDGE_NF[0]]).stdout.strip()
        other = "0" if value == "1" else "1"
        self.host.run(["sysctl", "-qw", *(f"{name}={other}" for name in _BRIDGE_NF)])

    def forget_connections(self) -> None:
        """Empty conntrack's table."""
        self.host.run(["conntrack", "-F"], check=False)


@contextmanager
def alive(scenario: Scenario, prefix: str) -> Iterator[Living]:
    """The host of a scenario, gone afterwards."""
    bare = scenario.topology.model_copy(update={"networks": (), "containers": ()})
    with ExitStack() as stack:
        host = stack.enter_context(
            lab_up(
                f"{prefix}-{scenario.name}", engine=scenario.kind.engine, firewall=scenario.kind.firewall, topology=bare
            )
        )
        outside = stack.enter_context(Outside(host))
        _run_lines(host, scenario.before)
        populate(f"unix://{host.docker_socket}", scenario.topology, host.root)
        for what, name in scenario.changes:
            _change(host, what, name)
        if scenario.kind.proxy is ProxyMode.FLIPPED:
            _switch_proxy_off(host)
            populate(f"unix://{host.docker_socket}", scenario.late, host.root)
        _run_lines(host, scenario.after)
        wait_for_containers(f"unix://{host.docker_socket}", scenario.topology, host.root)
        server = serve(host.command(service_command("host", _possible_services(host))))
        stack.callback(_end, server)
        yield Living(host, outside)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    process.wait()


def _possible_services(host: Host) -> list[str]:
    """The host's own services, without those at addresses that it has not."""
    own = host.run(["ip", "-o", "address"]).stdout
    fixed = ("0.0.0.0", "::", "127.0.0.1")  # noqa: S104  # of a throwaway host
    return [each for each in SERVICES if each.split(",")[1] in fixed or f" {each.split(',')[1]}/" in own]


def _run_lines(host: Host, lines: tuple[str, ...]) -> None:
    """Each line by itself: on some hosts one has nothing to work on (no DOCKER-USER, no IPv6)."""
    # Heredocs end at the line's end, so all lines are one script without `set -e`.
    host.run(["sh"], stdin="\n".join(lines) + "\n", check=False, timeout=60)


def _change(host: Host, what: str, name: str) -> None:
    client = host.docker()
    try:
        container = client.containers.get(name)
        if what.startswith("connect "):
            client.networks.get(what.removeprefix("connect ")).connect(container)
        elif what == "restart":
            container.restart(timeout=1)
        else:
            container.stop(timeout=1)
    finally:
        client.close()


def _switch_proxy_off(host: Host) -> None:
    """As an operator would: live-restore by a reload first, then a restart of the engine."""
    configured = json.loads(host.read_file(DAEMON_JSON))
    host.write_file(DAEMON_JSON, json.dumps({**configured, "userland-proxy": False, "live-restore": True}))
    host.run(["systemctl", "reload", "docker"])
    deadline = time.monotonic() + _ENGINE_SECONDS
    while not _live_restore(host):
        if time.monotonic() > deadline:
            raise LabError("the engine does not take live-restore", where=host.name)
        time.sleep(0.1)
    host.run(["systemctl", "restart", "docker"], timeout=60)


def _live_restore(host: Host) -> bool:
    client = host.docker()
    try:
        return bool(client.api.info()["LiveRestoreEnabled"])
    finally:
        client.close()


def let_all_errors_through(living: Living, facts: HostFacts) -> dict[str, int]:
    """Prepare every namespace; the pid to enter it by, by client."""
    pids = {"host": living.host.init_pid, "external": living.outside.pid}
    for container in facts.containers:
        if container.is_running:
            pids[container.name] = living.host.container_pid(container.name)
    for pid in set(pids.values()):
        let_errors_through(pid)
    return pids
