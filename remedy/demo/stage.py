"""What the demonstration looks like on a terminal, and in a log: headings, an operator's commands, tables, figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 110
WIDEST = 120
_SAY_AGAIN_SECONDS = 10.0
_STYLES = {"✓": "green", "✗": "bold red", "!": "yellow"}


class Stage:
    """Writes the demonstration. Without a terminal it writes plain lines, and one every few seconds while it waits."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, emoji=False)
        if not self.console.is_terminal:
            self.console.width = PLAIN_WIDTH
        self.console.width = min(self.console.width, WIDEST)
        self._number = 0
        self._began = time.monotonic()

    def scene(self, title: str, *explanation: str) -> None:
        """Begin a scene: a numbered heading, and what it shows."""
        self._number += 1
        elapsed = time.monotonic() - self._began
        heading = Text.assemble((f" {self._number} ", "bold cyan"), (title, "bold"), (f"  {elapsed:.0f} s ", "dim"))
        self.console.print()
        self.console.print(Rule(heading, align="left"))
        for paragraph in explanation:
            self.say(paragraph)

    def command(self, line: str, remark: str = "") -> None:
        """What an operator would type on the host."""
        typed = Text.assemble(("  # ", "dim"), (line, "bold cyan"), (f"   ({remark})" if remark else "", "dim"))
        self.console.print()
        self.console.print(typed, soft_wrap=True)

    def output(self, line: str) -> None:
        """One line that a command wrote."""
        mark = line.strip()[:1]
        self.console.print(Text.assemble(("  │ ", "dim"), (line, _STYLES.get(mark, ""))), soft_wrap=True)

    def say(self, *parts: str | tuple[str, str]) -> None:
        """A line of the narrator."""
        self.console.print(Padding(Text.assemble(*parts), (0, 2), expand=False))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
        """A table; a column whose name ends in > is aligned to the right."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
        for name in columns:
            table.add_column(name.removesuffix(">"), justify="right" if name.endswith(">") else "left", overflow="fold")
        for row in rows:
            table.add_row(*row)
        self.console.print(Padding(table, (0, 2), expand=False))

    def panel(self, title: str, body: Text | Table, style: str = "green") -> None:
        """The frame around what is to be remembered."""
        self.console.print()
        self.console.print(Panel(body, title=title, border_style=style, box=ROUNDED, padding=(1, 2), expand=False))

    def picture(self, drawing: str) -> None:
        """A drawing, as it stands."""
        for line in drawing.strip("\n").splitlines():
            self.console.print(Text("  " + line, "cyan"), soft_wrap=True)

    @contextmanager
    def waiting(self, text: str) -> Iterator[Callable[[str], None]]:
        """A moving line while something takes its time; yields what changes its text."""
        if self.console.is_terminal:
            with self.console.status(text) as status:
                yield status.update
            return
        yield _PatientLog(self.console, text).say


class _PatientLog:
    """For a log: the first line at once, then the latest one every few seconds."""

    def __init__(self, console: Console, text: str) -> None:
        self._console = console
        self._said = 0.0
        self.say(text)

    def say(self, line: str) -> None:
        now = time.monotonic()
        if now - self._said >= _SAY_AGAIN_SECONDS:
            self._said = now
            self._console.print(Text(f"  ... {line}", "dim"), soft_wrap=True)
