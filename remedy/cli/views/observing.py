"""A watch as it goes on: how long yet, and how many were seen. On standard error, and only on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from rich.live import Live
from rich.text import Text

from remedy.cli.options import GlobalOptions
from remedy.cli.views.console import make_console
from remedy.cli.views.layout import count, seconds

if TYPE_CHECKING:
    from remedy.doctor.watch import Glimpse

_BAR = 24


class Observing:
    """Shows glimpses. A terminal that goes away does not end the watch."""

    def __init__(self, options: GlobalOptions) -> None:
        console = make_console(options, sys.stderr)
        self._live = Live(console=console, refresh_per_second=4, transient=True, redirect_stdout=False)
        self._is_shown = console.is_terminal

    def __enter__(self) -> Observing:
        self._quietly(self._live.start)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._quietly(self._live.stop)

    def show(self, glimpse: Glimpse) -> None:
        """Show one. Never raises because of the terminal."""
        self._quietly(lambda: self._live.update(line(glimpse)))

    def _quietly(self, step: Callable[[], object]) -> None:
        if not self._is_shown:
            return
        try:
            step()
        except (OSError, ValueError):
            self._is_shown = False


def line(glimpse: Glimpse) -> Text:
    """One line: a bar, the time that is left, what was seen."""
    part = min(glimpse.elapsed / glimpse.total, 1.0) if glimpse.total else 1.0
    full = round(part * _BAR)
    return Text.assemble(
        "watching ",
        ("━" * full, "green"),
        ("━" * (_BAR - full), "dim"),
        f" {seconds(glimpse.total - glimpse.elapsed)} left, {count(glimpse.consumers, 'consumer')}, "
        f"{count(glimpse.connections, 'connection')}",
        ("  ^C ends it, what was seen is kept", "dim"),
    )
