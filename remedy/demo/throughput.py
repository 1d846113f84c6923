"""Requests per second on a few ways to the same backends, by wrk, in short rounds that take turns.

Other work on the machine moves all figures up and down. So each round also asks a backend directly, which no change of
the proxy touches, and a way's figure is compared with that of the same few seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from remedy.errors import CommandError
from remedy.host.commands import run_command

ROUNDS = 5
SECONDS = 1
CONNECTIONS = 32

_REQUESTS_PER_SECOND = re.compile(r"^Requests/sec:\s*([\d.]+)", re.MULTILINE)
_TROUBLE = re.compile(r"^\s*(Socket errors:.*|Non-2xx or 3xx responses:.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Way:
    """Who asks, in whose network namespace (a path), for what."""

    name: str
    netns: str
    url: str


@dataclass(frozen=True, slots=True)
class Speed:
    """What one way carries: the medians over the rounds. of_direct: its share of the direct way's in the same round."""

    per_second: float
    of_direct: float


def measure(ways: Sequence[Way], direct: Way, say: Callable[[str], None]) -> dict[str, Speed]:
    """The speed of each way and of the direct one, by name. Raises CommandError when wrk cannot measure."""
    rounds: list[dict[str, float]] = []
    for number in range(1, ROUNDS + 1):
        say(f"measuring: round {number} of {ROUNDS}")
        rounds.append({way.name: _one_round(way) for way in (*ways, direct)})
    return {way.name: _speed(way.name, direct.name, rounds) for way in (*ways, direct)}


def _speed(way: str, direct: str, rounds: Sequence[dict[str, float]]) -> Speed:
    return Speed(
        per_second=median(found[way] for found in rounds),
        of_direct=median(found[way] / found[direct] for found in rounds),
    )


def _one_round(way: Way) -> float:
    wrk = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", way.url]
    return requests_per_second(run_command(["nsenter", f"--net={way.netns}", *wrk], timeout=SECONDS + 30).stdout)


def requests_per_second(report: str) -> float:
    """The figure of wrk's report. Raises CommandError when there is none, or not every answer was good."""
    found = _REQUESTS_PER_SECOND.search(report)
    trouble = _TROUBLE.search(report)
    if found is None or float(found.group(1)) == 0 or trouble is not None:
        why = trouble.group(1) if trouble else report.strip()[-200:]
        raise CommandError("the throughput could not be measured", where="wrk", why=why)
    return float(found.group(1))
