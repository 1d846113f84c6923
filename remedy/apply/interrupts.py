"""^C, SIGTERM and a closed terminal during a run: never half, always back.

The first signal asks the run to stop: it finishes the action that it is in and rolls back. Further ones change
nothing, except that the operator is told so. The programs that remedy runs are in another process group, so ^C
does not reach them.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Which signal came first, and how many."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.first: signal.Signals | None = None
        self.is_rolling_back = False

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Remember the first; answer every one."""
        if self.first is None and not self.is_rolling_back:
            self.first = signal.Signals(number)
            self._say(f"{self.first.name}: this step is finished, then everything is put back")
        else:
            self._say("putting everything back; this cannot be interrupted without leaving the host half changed")


@contextmanager
def catch_interrupts(say: Callable[[str], None]) -> Iterator[Interrupts]:
    """Catch the stopping signals for the length of a run. Only in the main thread; elsewhere nothing is caught."""
    interrupts = Interrupts(say)
    previous: dict[signal.Signals, object] = {}
    try:
        for number in STOPPING:
            previous[number] = signal.signal(number, interrupts.on_signal)
    except ValueError:
        previous.clear()  # not the main thread: a library's user handles signals itself
    try:
        yield interrupts
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
