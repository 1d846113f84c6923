"""Counting how the known connections travel, and what has drifted: in a process of its own, and now and then."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from remedy.apply.settings import Settings
from remedy.errors import RemedyError
from remedy.watch.apart import done_apart
from remedy.watch.metrics.meter import Meter

LEAST_SECONDS = 60.0  # between two counts: a walk of every known connection is dear on a large host
SETTLED_SECONDS = 1.0


def count_now_and_then(meter: Meter, settings: Settings, spec_path: Path) -> None:
    """Start the thread: it counts when something has happened, and that was a while ago."""
    threading.Thread(
        target=_count_on, args=(meter, settings, spec_path), name="remedy-metrics-count", daemon=True
    ).start()


def _count_on(meter: Meter, settings: Settings, spec_path: Path) -> None:
    while True:
        meter.stale.wait()
        time.sleep(SETTLED_SECONDS)
        meter.stale.clear()
        try:
            meter.count(done_apart("count", settings, spec_path))
        except (RemedyError, OSError):
            meter.not_counted()
        time.sleep(LEAST_SECONDS)
