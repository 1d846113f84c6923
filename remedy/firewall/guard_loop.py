"""The thread that keeps the forward guard first while the engine restarts.

There is time: 28.5 puts DOCKER-FORWARD in front 0.4-0.5 s before it appends the first drop (three restarts at a load of
12 to 16 on 2 cores). A look every 2 ms costs 3 to 5 % of a core. With 10,000 rules in iptables-legacy's table filter
a look takes 9 ms (and each iptables of the engine's 40 ms): the loop then rests as long as it looked.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol, Self

from remedy.errors import RemedyError

INTERVAL_SECONDS = 0.002


class Guard(Protocol):
    """What the loop keeps first."""

    def ensure_first(self) -> bool:
        """True when it had to be moved."""


@dataclass(frozen=True, slots=True)
class GuardCount:
    """What the loop has done. last_error is the last failure's text; failures while the engine works are normal."""

    looks: int = 0
    moves: int = 0
    errors: int = 0
    last_error: str | None = None
    longest_gap_seconds: float = 0.0  # between two looks: the time in which the engine's rule could stand first


class GuardLoop:
    """Calls guard.ensure_first() every few milliseconds until stopped. Use it as a context manager.

    The guard must be used by this loop alone meanwhile.
    """

    def __init__(self, guard: Guard, interval: float = INTERVAL_SECONDS) -> None:
        self._guard = guard
        self._interval = interval
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="forward-guard", daemon=True)
        self._count = GuardCount()

    @property
    def count(self) -> GuardCount:
        """What was done so far."""
        return self._count

    def start(self) -> None:
        """Look once, then begin: the guard is first when this returns, and what a first look loads is loaded."""
        self._look(time.monotonic())
        self._count = replace(self._count, longest_gap_seconds=0.0)
        self._thread.start()

    def stop(self) -> GuardCount:
        """End after one last look, so that the guard is first when this returns."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
            self._look(time.monotonic())
        return self._count

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        ended, rest = time.monotonic(), self._interval
        while not self._stopping.wait(rest):
            began = time.monotonic()
            ended = self._look(ended)
            rest = max(self._interval, ended - began)

    def _look(self, before: float) -> float:
        """One look; returns when it ended."""
        count = self._count
        try:
            moved = self._guard.ensure_first()
        except (RemedyError, OSError) as error:
            count = replace(count, errors=count.errors + 1, last_error=str(error))
        else:
            count = replace(count, moves=count.moves + moved)
        now = time.monotonic()
        gap = max(count.longest_gap_seconds, now - before)
        self._count = replace(count, looks=count.looks + 1, longest_gap_seconds=gap)
        return now
