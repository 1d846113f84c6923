"""The cases of the loss benchmark, one after the other; what was lost once is measured again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import product

from remedy.bench.loss import Case, CaseResult, Say, measure_case
from remedy.lab.layout import ENGINES, FIREWALLS

CONTAINERS = (4, 64)


def all_cases(
    engines: Sequence[str] = ENGINES,
    firewalls: Sequence[str] = FIREWALLS,
    containers: Sequence[int] = CONTAINERS,
    *,
    ip_forward: bool = True,
) -> tuple[Case, ...]:
    """Every combination."""
    return tuple(Case(*values, ip_forward) for values in product(engines, firewalls, containers))


def measure_all(cases: Sequence[Case], *, attempts: int, say: Say, priority: int = 0) -> Iterator[CaseResult]:
    """Measure each case on a host of its own; one with losses up to `attempts` times. Every result is given.

    Raises LabError and CommandError.
    """
    for case in cases:
        for attempt in range(1, attempts + 1):
            results = []
            for result in measure_case(case, name=f"bench-{os.getpid()}", say=say, priority=priority):
                results.append(result)
                yield result
            if all(result.is_clean for result in results):
                break
            if attempt < attempts:
                say(f"{case}: not clean, once more")
