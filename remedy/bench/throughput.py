"""Requests per second of a container by the gateway and a published port, the ways taking turns in short rounds."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from statistics import median

from rich.table import Table

from remedy.bench.loss import Say, wait_until_served
from remedy.bench.priority import favoured
from remedy.bench.vantages import throughput_vantages
from remedy.bench.ways import WAYS, Way, backend_target, haproxy_target, prepared_hosts
from remedy.bench.wrk import Target, requests_per_second
from remedy.frozen import Frozen

SECONDS = 1
PROMISED_OF_BY_HAND, PROMISED_OF_PROXY = 0.95, 2.0


class WayRates(Frozen):
    """The requests per second of one way, round by round."""

    name: str
    by_hand: str | None
    gateway: tuple[float, ...]
    haproxy: tuple[float, ...]
    is_direct: bool = False


class ThroughputResult(Frozen):
    """All ways, measured on one kind of host in one run; the first is docker-proxy."""

    engine: str
    firewall: str
    ways: tuple[WayRates, ...]

    def ratio(self, way: WayRates, name: str, *, through_haproxy: bool = False) -> float:
        """The median over the rounds of this way's rate by that of another: rounds next to each other compare."""
        other = next(one for one in self.ways if one.name == name)
        ours, theirs = (way.haproxy, other.haproxy) if through_haproxy else (way.gateway, other.gateway)
        return median(mine / yours for mine, yours in zip(ours, theirs, strict=True))

    @property
    def keeps_promise(self) -> bool:
        """Every way of remedy's is as fast as the same by hand, and twice as fast as docker-proxy."""
        return self.lowest_of_by_hand >= PROMISED_OF_BY_HAND and self.lowest_of_proxy >= PROMISED_OF_PROXY

    @property
    def lowest_of_by_hand(self) -> float:
        """The lowest of remedy's ways, each by the same by hand."""
        return min(self._promised(way, way.by_hand) for way in self.ways if way.by_hand is not None)

    @property
    def lowest_of_proxy(self) -> float:
        """The lowest of remedy's ways, each by docker-proxy's."""
        return min(self._promised(way, self.ways[0].name) for way in self.ways if way.by_hand is not None)

    def _promised(self, way: WayRates, name: str) -> float:
        """The ratio that is promised: through haproxy where haproxy is what was changed."""
        return self.ratio(way, name, through_haproxy=way.is_direct)


def measure_throughput(engine: str, firewall: str, *, rounds: int, say: Say, priority: int = 0) -> ThroughputResult:
    """Prepare a host for each way and measure them in turns. Raises LabError, CommandError, MissingToolError."""
    say(f"{engine} {firewall}: preparing {len(WAYS)} hosts")
    with prepared_hosts(f"bench-{os.getpid()}", engine, firewall) as hosts, ExitStack() as stack:
        for host in hosts.values():
            stack.enter_context(favoured(host, priority))
            wait_until_served(throughput_vantages(host))
        gateway = in_turns({way.name: backend_target(hosts[way.name], way) for way in WAYS}, rounds, say)
        haproxy = in_turns({name: haproxy_target(host) for name, host in hosts.items()}, rounds, say)
    return ThroughputResult(engine=engine, firewall=firewall, ways=_rates(WAYS, gateway, haproxy))


def in_turns(
    targets: dict[str, Target], rounds: int, say: Say, before: Callable[[str], None] = lambda _name: None
) -> dict[str, tuple[float, ...]]:
    """The rates of each target, one for each round; every other round in reverse order, as the machine warms up.

    before: called with the target's name before each of its turns.
    """
    rates: dict[str, list[float]] = {name: [] for name in targets}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}: {next(iter(targets.values())).url}")
        for name in list(targets) if number % 2 == 0 else reversed(targets):
            before(name)
            rates[name].append(requests_per_second(targets[name], SECONDS))
    return {name: tuple(found) for name, found in rates.items()}


def throughput_table(result: ThroughputResult) -> Table:
    """Medians and ratios."""
    table = Table(
        title=f"Requests/s, {result.engine} {result.firewall}, medians of {len(result.ways[0].gateway)} rounds"
    )
    table.add_column("way", no_wrap=True)
    for what in (
        "container -> backend",
        "of docker-proxy",
        "of by hand",
        "external -> haproxy",
        "of docker-proxy",
    ):
        table.add_column(what, justify="right")
    proxy = result.ways[0].name
    for way in result.ways:
        table.add_row(
            way.name,
            f"{median(way.gateway):,.0f}",
            f"{result.ratio(way, proxy):.2f}",
            "" if way.by_hand is None else f"{result.ratio(way, way.by_hand):.2f}",
            f"{median(way.haproxy):,.0f}",
            f"{result.ratio(way, proxy, through_haproxy=True):.2f}",
        )
    return table


def throughput_verdict(result: ThroughputResult) -> str:
    """The table in one sentence: the lowest ratio of each promise."""
    kept = "kept" if result.keeps_promise else "BROKEN"
    return (
        f"by remedy: {result.lowest_of_by_hand:.2f} of the same by hand (promised {PROMISED_OF_BY_HAND}), "
        f"{result.lowest_of_proxy:.2f} times docker-proxy (promised {PROMISED_OF_PROXY}): promise {kept}"
    )


def _rates(
    ways: Sequence[Way], gateway: dict[str, tuple[float, ...]], haproxy: dict[str, tuple[float, ...]]
) -> tuple[WayRates, ...]:
    return tuple(
        WayRates(
            name=way.name,
            by_hand=way.by_hand,
            is_direct=way.is_direct,
            gateway=gateway[way.name],
            haproxy=haproxy[way.name],
        )
        for way in ways
    )
