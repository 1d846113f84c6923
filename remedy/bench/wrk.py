"""Requests per second by wrk, run in another network namespace."""

from __future__ import annotations

import re
from dataclasses import dataclass

from remedy.errors import CommandError
from remedy.host.commands import run_command

CONNECTIONS = 64

_REQUESTS_PER_SECOND = re.compile(r"^Requests/sec:\s*([\d.]+)", re.MULTILINE)
_TROUBLE = re.compile(r"^\s*(Socket errors:.*|Non-2xx or 3xx responses:.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Target:
    """Who asks for what: a network namespace (a path) and a URL. closes: by a new connection each time."""

    netns: str
    url: str
    closes: bool = False


def requests_per_second(target: Target, seconds: int) -> float:
    """Ask as fast as can be. Raises MissingToolError without wrk, CommandError when not every answer was good."""
    once = ["-H", "Connection: close"] if target.closes else []
    arguments = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *once, target.url]
    run_command(["wrk", "-v"], check=False)  # its absence told as such: nsenter would only say that it cannot
    report = run_command(["nsenter", f"--net={target.netns}", *arguments], timeout=seconds + 30).stdout
    return parse_report(report)


def parse_report(report: str) -> float:
    """The figure of wrk's report. Raises CommandError when there is none, or not every answer was good."""
    found, trouble = _REQUESTS_PER_SECOND.search(report), _TROUBLE.search(report)
    if found is None or float(found[1]) == 0 or trouble is not None:
        why = trouble[1] if trouble else report.strip()[-200:]
        raise CommandError("the throughput could not be measured", where="wrk", why=why)
    return float(found[1])
