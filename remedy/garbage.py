"""The garbage collector, in a process that lives for seconds.

What imports bring stays until the end. CPython's default makes the collector look through it after every 700 new
objects, some hundred times in a `remedy plan`, and once more when the interpreter ends: a quarter of the command's
time, for nothing (measured with `make bench-speed`, 3.11). After 100,000 it is still once while everything is imported,
some 25 ms, for 39,000 objects that imports leave behind: a process that lives for months has it done.
"""

from __future__ import annotations

import gc

COLLECT_AFTER_OBJECTS = 1_000_000
WHERE_MEMORY_COUNTS = 100_000


def collect_rarely(after_objects: int = COLLECT_AFTER_OBJECTS) -> None:
    """Let garbage wait. A command that runs for long, or reads much, is collected all the same."""
    gc.set_threshold(after_objects)


def leave_the_rest() -> None:
    """Spare the interpreter's last collection what the process is about to give back anyway."""
    gc.freeze()
