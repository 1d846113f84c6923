"""The garbage collector, in a process that lives for seconds.

What imports bring stays until the end. CPython's default makes the collector look through it after every 700 new
objects, some hundred times in a `remedy plan`, and once more when the interpreter ends: a quarter of the command's
time, for nothing (measured with `make bench-speed`, 3.11).
"""

from __future__ import annotations

import gc

COLLECT_AFTER_OBJECTS = 100_000


def collect_rarely() -> None:
    """Let garbage wait. A command that runs for long, or reads much, is collected all the same."""
    gc.set_threshold(COLLECT_AFTER_OBJECTS)


def leave_the_rest() -> None:
    """Spare the interpreter's last collection what the process is about to give back anyway."""
    gc.freeze()
