"""How much of a processor each docker-proxy uses right now: two readings, and the time between them."""

from __future__ import annotations

import time

from remedy.doctor.patient import Measured
from remedy.facts.model import HostFacts
from remedy.facts.processes import read_cpu_seconds

LEAST_SECONDS = 0.5


def measure(facts: HostFacts) -> Measured:
    """Compare with the facts' own reading, at least half a second later (the kernel counts in hundredths)."""
    known = {p.pid: p for p in facts.docker_proxies if p.cpu_seconds is not None and p.age_seconds is not None}
    if not known:
        return Measured()
    used: dict[int, float] = {}
    elapsed = 0.0
    for number, (pid, proxy) in enumerate(known.items()):
        before = proxy.cpu_seconds, proxy.age_seconds
        now = read_cpu_seconds(pid)
        if number == 0 and now is not None and now[1] - (before[1] or 0) < LEAST_SECONDS:
            time.sleep(max(LEAST_SECONDS - (now[1] - (before[1] or 0)), 0))
            now = read_cpu_seconds(pid)
        if now is None:
            continue
        used[pid] = max(now[0] - (before[0] or 0), 0.0)
        elapsed = max(elapsed, now[1] - (before[1] or 0))
    return Measured(seconds=round(elapsed, 2), cpu_seconds=used)
