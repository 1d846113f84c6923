"""^C, SIGTERM and a closed terminal during a run: never half, always back.

The first signal asks the run to stop: it finishes the action that it is in and rolls back. Further ones change
nothing, except that the operator is told so. The programs that remedy runs are in another process group, so ^C
does not reach them.

The handler only remembers. Telling is the business of a thread that waits at a pipe: a signal may arrive while the
main thread holds the terminal's lock, and a handler that wanted it too would wait for ever.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from remedy.errors import InterruptedRunError

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_END_OF_TALK = 0  # no signal has this number

_WILL_STOP = "{name}: this step is finished, then everything is put back"
_GOES_BACK = "putting everything back; this cannot be interrupted without leaving the host half changed"
_IS_KEPT = "the change is made and verified already; `remedy rollback` undoes it"


class Interrupts:
    """Which signal came first, and whether one may still stop the run."""

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        self._answer: str | None = None  # what every further signal is told

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Remember the first one that can still stop the run."""
        if self.first is None and self._answer is None:
            self.first = signal.Signals(number)

    def go_back(self) -> None:
        """The run is being put back: no signal changes that."""
        self._answer = _GOES_BACK

    def stop_if_asked(self) -> None:
        """Raises InterruptedRunError when a signal has asked for it."""
        if self.first is not None:
            raise InterruptedRunError(f"stopped by {self.first.name}")

    def keep(self) -> None:
        """The last moment at which a signal stops the run. Raises InterruptedRunError when one came before."""
        self._answer = _IS_KEPT
        self.stop_if_asked()

    def answer_to(self, number: int, *, is_first: bool) -> str:
        """What the operator is told on a signal."""
        # Whoever tells may be early, before the main thread has remembered the signal; or late, when the run is going
        # back already, for this very signal.
        if is_first and (self._answer is None or self.first is not None):
            return _WILL_STOP.format(name=signal.Signals(number).name)
        return self._answer or _GOES_BACK


@contextmanager
def catch_interrupts(say: Callable[[str], None]) -> Iterator[Interrupts]:
    """Catch the stopping signals for the length of a run. Only in the main thread; elsewhere nothing is caught."""
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts  # a library's user handles signals itself
        return
    hearing, speaking = os.pipe()
    os.set_blocking(speaking, False)
    teller = threading.Thread(target=_tell, args=(hearing, interrupts, say), name="remedy-signals", daemon=True)
    teller.start()
    before = signal.set_wakeup_fd(speaking, warn_on_full_buffer=False)
    previous = {number: signal.signal(number, interrupts.on_signal) for number in STOPPING}
    try:
        yield interrupts
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        os.write(speaking, bytes([_END_OF_TALK]))
        teller.join(timeout=1)  # a terminal that hangs must not hold the run
        if not teller.is_alive():
            os.close(hearing)
            os.close(speaking)


def _tell(hearing: int, interrupts: Interrupts, say: Callable[[str], None]) -> None:
    told = 0
    while (number := os.read(hearing, 1)[0]) != _END_OF_TALK:
        if number in STOPPING:
            say(interrupts.answer_to(number, is_first=told == 0))
            told += 1
