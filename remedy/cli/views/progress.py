"""A run as it goes on: a line for each step, and a moving one for the step that takes its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from remedy.cli.views.escape import escape
from remedy.cli.views.layout import seconds

if TYPE_CHECKING:
    from remedy.apply.model import Event

SPINNER_AFTER_SECONDS = 0.5
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_MARKS = {
    "done": ("✓", "green"),
    "reverted": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "revert-failed": ("✗", "bold red"),
}


class _Moving:
    """The line of the step that is under way."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._since = time.monotonic()

    def __rich__(self) -> Text:
        elapsed = time.monotonic() - self._since
        frame = _FRAMES[int(elapsed * 10) % len(_FRAMES)]
        return Text.assemble("  ", (frame, "cyan"), f" {self._text} ", (f"{elapsed:.1f} s", "dim"))


class Progress:
    """Takes a run's events. A terminal that goes away must not disturb the run: it goes on in silence."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._live: Live | None = None
        self._is_silent = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._quietly(self._stop_moving)

    def show(self, event: Event) -> None:
        """Show one event. Never raises because of the terminal."""
        if not self._is_silent:
            self._quietly(lambda: self._show(event))

    def _quietly(self, step: Callable[[], None]) -> None:
        try:
            step()
        except (OSError, ValueError):
            self._is_silent = True

    def _show(self, event: Event) -> None:
        self._stop_moving()
        text = escape(event.text)
        if event.kind == "phase":
            self._print(Text(text, "bold"))
        elif event.kind == "warning":
            self._print(Text.assemble(("  ! ", "bold yellow"), text))
        elif event.kind == "note":
            self._print(Text.assemble("    ", (text, "dim")))
        elif event.state in _MARKS:
            self._print(self._finished(text, event))
        else:
            self._start_moving(text)

    def _finished(self, text: str, event: Event) -> Text:
        mark, style = _MARKS[str(event.state)]
        took = f" {seconds(event.seconds)}" if event.seconds and event.seconds >= SPINNER_AFTER_SECONDS else ""
        undone = "undone: " if event.state == "reverted" else ""
        return Text.assemble("  ", (mark, style), f" {undone}{text}", (took, "dim"))

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)
        self._console.file.flush()

    def _start_moving(self, text: str) -> None:
        if not self._console.is_terminal:
            return
        moving = _Moving(text)
        self._timer = threading.Timer(SPINNER_AFTER_SECONDS, lambda: self._quietly(lambda: self._move(moving)))
        self._timer.daemon = True
        self._timer.start()

    def _move(self, moving: _Moving) -> None:
        with self._lock:
            if threading.current_thread() is not self._timer:
                return  # the step ended while this thread waited for the lock
            self._live = Live(
                moving,
                console=self._console,
                refresh_per_second=10,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def _stop_moving(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._live is not None:
                live, self._live = self._live, None
                live.stop()
