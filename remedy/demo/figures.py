"""What the demonstration found, and how its figures look in tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table
from rich.text import Text

from remedy.bench.load_model import LoadResult
from remedy.demo.throughput import Speed
from remedy.demo.traffic import WAYS, Losses, lost

BEFORE, AFTER, BACK = "before", "after", "rolled back"


@dataclass(slots=True)
class Figures:
    """The figures of a whole demonstration; keyed by BEFORE, AFTER, BACK, traffic by command."""

    proxies: dict[str, int] = field(default_factory=dict)
    speeds: dict[str, dict[str, Speed]] = field(default_factory=dict)
    traffic: dict[str, Losses] = field(default_factory=dict)
    lines_compared: int = 0
    differences: int = 0

    @property
    def is_good(self) -> bool:
        """Whether every promise was kept in front of everybody."""
        kept = not self.differences and not any(seen.lost for seen in self.traffic.values())
        return kept and self.proxies[AFTER] == 0 and self.proxies[BACK] == self.proxies[BEFORE]

    def ratio(self, way: str) -> float:
        """How many times as fast a way is without docker-proxy, both against the direct way of the same moments."""
        before, after, back = (self.speeds[state][way].of_direct for state in (BEFORE, AFTER, BACK))
        return after / ((before + back) / 2)


def summary(figures: Figures) -> Table:
    """The few lines that are to be remembered."""
    table = Table.grid(padding=(0, 3))
    table.add_row("docker-proxy processes", " → ".join(str(figures.proxies[state]) for state in (BEFORE, AFTER, BACK)))
    for way in WAYS:
        shown = " → ".join(f"{figures.speeds[state][way].per_second:,.0f}" for state in (BEFORE, AFTER, BACK))
        table.add_row(f"requests/s, {way}", shown, Text(f"{figures.ratio(way):.1f} times as fast", "bold"))
    for command, seen in figures.traffic.items():
        late = f"; {seen.late} waited more than 200 ms" if seen.late else ""
        remark = f"of {seen.connections:,}, longest wait {seen.longest_ms:.0f} ms{late}"
        table.add_row(f"requests lost during {command}", judged(seen.lost), Text(remark, "dim"))
    compared = Text(f"in {figures.lines_compared:,} lines of the host's state", "dim")
    table.add_row("differences after rollback", judged(figures.differences), compared)
    return table


def speed_rows(speeds: Mapping[str, Mapping[str, Speed]]) -> Iterator[Sequence[str]]:
    """A row for each way: requests per second, and in brackets the share of the direct way's, of each state so far."""
    for way in speeds[BEFORE]:
        yield (way, *(f"{found[way].per_second:,.0f} ({found[way].of_direct:.0%})" for found in speeds.values()))


def loss_rows(result: LoadResult) -> Iterator[Sequence[str | Text]]:
    """A row for each vantage point of the load."""
    for seen in result.vantages:
        kept_alive = [f"{seen.keep_alive_requests:,} requests"]
        if seen.keep_alive_closes:
            kept_alive.append(f"closed in order {_times(seen.keep_alive_closes)}")
        if seen.keep_alive_failures:
            kept_alive.append(f"cut {_times(seen.keep_alive_failures)}")
        waited = f"{seen.longest_ms:.0f} ms"
        yield seen.name, f"{seen.connections:,}", judged(lost(seen)), waited, ", ".join(kept_alive)


def cost(disruption: Mapping[str, Any]) -> str:
    """What an action of a plan interrupts, in few words."""
    if disruption["level"] == "none":
        return "none"
    seconds = f", about {disruption['seconds']:.0f} s" if disruption["seconds"] else ""
    stop = f"; {len(disruption['containers'])} containers stop" if disruption["containers"] else "; containers live on"
    return f"engine {disruption['level']}{seconds}{stop}"


def judged(count: int) -> Text:
    """A number that should be 0."""
    return Text(str(count), "bold red" if count else "bold green")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
