"""Requests per second on a few ways to the same backends, by wrk, in short rounds that take turns."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from remedy.errors import CommandError
from remedy.host.commands import run_command

ROUNDS = 3
SECONDS = 2
CONNECTIONS = 32

_REQUESTS_PER_SECOND = re.compile(r"^Requests/sec:\s*([\d.]+)", re.MULTILINE)
_TROUBLE = re.compile(r"^\s*(Socket errors:.*|Non-2xx or 3xx responses:.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Way:
    """Who asks, in whose network namespace (a path), for what."""

    name: str
    netns: str
    url: str


def measure(ways: Sequence[Way], say: Callable[[str], None]) -> dict[str, float]:
    """The median requests per second of each way. Raises CommandError when wrk cannot measure."""
    rounds: dict[str, list[float]] = {way.name: [] for way in ways}
    for number in range(1, ROUNDS + 1):
        for way in ways:
            say(f"{way.name}: round {number} of {ROUNDS}, {SECONDS} s")
            rounds[way.name].append(_one_round(way))
    return {name: median(found) for name, found in rounds.items()}


def _one_round(way: Way) -> float:
    wrk = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", way.url]
    return requests_per_second(run_command(["nsenter", f"--net={way.netns}", *wrk], timeout=SECONDS + 30).stdout)


def requests_per_second(report: str) -> float:
    """The figure of wrk's report. Raises CommandError when there is none, or not every answer was good."""
    found = _REQUESTS_PER_SECOND.search(report)
    trouble = _TROUBLE.search(report)
    if found is None or trouble is not None:
        why = trouble.group(1) if trouble else report.strip()[-200:]
        raise CommandError("the throughput could not be measured", where="wrk", why=why)
    return float(found.group(1))
