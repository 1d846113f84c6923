"""New connections per second: tracked, untracked by remedy, and with bridge netfilter off, in turns of a second."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from statistics import median

from rich.table import Table

from remedy.bench.loss import Say, wait_until_served
from remedy.bench.priority import favoured
from remedy.bench.throughput import in_turns
from remedy.bench.vantages import BALANCER, container_netns, throughput_vantages
from remedy.bench.ways import CONFIG, SERVER, SERVER_PORT, applied, haproxy_target
from remedy.bench.wrk import Target
from remedy.frozen import Frozen
from remedy.lab import Host, lab_up
from remedy.paths.topology import BRIDGE_NETFILTER

PROMISED = 0.95
NETWORK = "remedy-lb"
OFF, NOTRACK, TRACKED = "bridge netfilter off", "notrack", "tracked"


class UntrackingResult(Frozen):
    """Rates by the way's name, round by round: from haproxy's container to a backend, and from outside by haproxy."""

    engine: str
    firewall: str
    backend: dict[str, tuple[float, ...]]
    haproxy: dict[str, tuple[float, ...]]

    def ratio(self, rates: dict[str, tuple[float, ...]], name: str) -> float:
        """The median over the rounds of this way's rate by that with bridge netfilter off."""
        return median(mine / off for mine, off in zip(rates[name], rates[OFF], strict=True))

    @property
    def lowest(self) -> float:
        """Of the two, with notrack."""
        return min(self.ratio(self.backend, NOTRACK), self.ratio(self.haproxy, NOTRACK))

    @property
    def keeps_promise(self) -> bool:
        """As many as with bridge netfilter off, but for a twentieth."""
        return self.lowest >= PROMISED


def measure_untracking(engine: str, firewall: str, *, rounds: int, say: Say, priority: int = 0) -> UntrackingResult:
    """Two hosts that differ in notrack alone. Raises LabError, CommandError, MissingToolError."""
    say(f"{engine} {firewall}: preparing 2 hosts")
    with _hosts(engine, firewall, priority) as (plain, untracked):
        hosts = {OFF: plain, NOTRACK: untracked, TRACKED: plain}

        def prepare(name: str) -> None:
            _set_bridge_netfilter(hosts[name], on=name != OFF)

        backend = in_turns({name: _backend(host) for name, host in hosts.items()}, rounds, say, prepare)
        haproxy = in_turns({name: _closing(host) for name, host in hosts.items()}, rounds, say, prepare)
    return UntrackingResult(engine=engine, firewall=firewall, backend=backend, haproxy=haproxy)


@contextmanager
def _hosts(engine: str, firewall: str, priority: int) -> Iterator[tuple[Host, Host]]:
    with ExitStack() as stack:
        hosts = []
        for number, remedies in enumerate((f"user_network: {NETWORK}", f"user_network: {NETWORK}, notrack: true")):
            host = stack.enter_context(lab_up(f"bench-{os.getpid()}-{number}", engine=engine, firewall=firewall))
            stack.enter_context(favoured(host, priority))
            wait_until_served(throughput_vantages(host))
            _set_bridge_netfilter(host, on=True)
            _close_after_each_request(host)
            applied(f"remedies: {{{remedies}}}\naccept_pinned: true")(host)
            hosts.append(host)
        yield hosts[0], hosts[1]


def _set_bridge_netfilter(host: Host, *, on: bool) -> None:
    host.run(["sysctl", "-q", "-w", *(f"{setting}={int(on)}" for setting in BRIDGE_NETFILTER.values())])


def _close_after_each_request(host: Host) -> None:
    """Have haproxy make a connection for each request. Over the same inode: the file is bind-mounted."""
    text = host.read_file(CONFIG).decode()
    host.write_file(CONFIG, text.replace("    mode http\n", "    mode http\n    option httpclose\n", 1))
    host.run(["docker", "kill", "-s", "USR2", BALANCER])


def _backend(host: Host) -> Target:
    shown = f'{{{{(index .NetworkSettings.Networks "{NETWORK}").IPAddress}}}}'
    address = host.run(["docker", "inspect", "-f", shown, SERVER]).stdout.strip()
    return Target(container_netns(host, BALANCER), f"http://{address}:{SERVER_PORT}/1k", closes=True)


def _closing(host: Host) -> Target:
    return replace(haproxy_target(host), closes=True)


def untracking_table(result: UntrackingResult) -> Table:
    """Medians and ratios."""
    title = f"New connections/s, {result.engine} {result.firewall}, medians of {len(result.backend[OFF])} rounds"
    table = Table(title=title)
    table.add_column("way", no_wrap=True)
    for what in ("container -> backend", "of off", "external -> haproxy", "of off"):
        table.add_column(what, justify="right")
    for name in result.backend:
        cells = (
            cell
            for rates in (result.backend, result.haproxy)
            for cell in (f"{median(rates[name]):,.0f}", f"{result.ratio(rates, name):.2f}")
        )
        table.add_row(name, *cells)
    return table


def untracking_verdict(result: UntrackingResult) -> str:
    """The table in one sentence."""
    kept = "kept" if result.keeps_promise else "BROKEN"
    host = f"{result.engine} {result.firewall}"
    return f"{host}: notrack {result.lowest:.3f} of bridge netfilter off (promised {PROMISED}): promise {kept}"
