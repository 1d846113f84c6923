"""The few shapes that all views are made of: labelled lines, aligned columns, seconds, times.

Everything that comes from the host passes `escape` in here, on its way into a `Text`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from remedy.cli.views.escape import escape, escape_lines

LABEL_WIDTH = 8
Cell = str | tuple[str, str]  # text, or text and its style


class Page:
    """Writes lines to a console: wrapped on a terminal, each whole in a file or a pipe."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.width = console.width if console.is_terminal else None

    def line(self, *cells: Cell, indent: int = 0) -> None:
        """Write one line of cells."""
        self.console.print(_assembled(" " * indent, *cells), soft_wrap=True)

    def sentence(self, *cells: Cell, indent: int = 0) -> None:
        """Write cells that read as one sentence: on a terminal it is wrapped between words."""
        text = _assembled(*cells)
        pieces = [text] if self.width is None else text.wrap(self.console, max(self.width - indent, 30))
        for piece in pieces:
            piece.rstrip()
            self.console.print(Text.assemble(" " * indent, piece), soft_wrap=True)

    def text(self, line: Text) -> None:
        """Write a line whose pieces are escaped already."""
        self.console.print(line, soft_wrap=True)

    def blank(self) -> None:
        """Write an empty line."""
        self.console.print()

    def field(self, label: str, value: str, *, indent: int = 0, style: str = "", wrap: bool = True) -> None:
        """Write `label   value`; more lines hang under the value. An empty value writes nothing."""
        if not value:
            return
        hanging = indent + LABEL_WIDTH
        first = True
        for line in escape_lines(value):
            for piece in self._wrapped(line, hanging) if wrap else [line]:
                text = Text(" " * indent)
                text.append(f"{label if first else '':<{LABEL_WIDTH}}", "dim")
                text.append(piece, style)
                self.console.print(text, soft_wrap=True)
                first = False

    def columns(self, rows: Iterable[Sequence[Cell]], *, indent: int = 2) -> None:
        """Write rows as aligned columns, two blanks apart."""
        shown = [[(escape(c), "") if isinstance(c, str) else (escape(c[0]), c[1]) for c in row] for row in rows]
        if not shown:
            return
        widths = [max(cell_len(row[i][0]) for row in shown) for i in range(len(shown[0]))]
        for row in shown:
            text = Text(" " * indent)
            for (cell, style), width in zip(row, widths, strict=True):
                text.append(cell, style)
                text.append(" " * (width - cell_len(cell) + 2))
            text.rstrip()
            self.console.print(text, soft_wrap=True)

    def _wrapped(self, line: str, hanging: int) -> list[str]:
        if self.width is None or len(line) + hanging <= self.width:
            return [line]
        width = max(self.width - hanging, 30)
        return textwrap.wrap(line, width, break_on_hyphens=False, break_long_words=False) or [line]


def _assembled(*cells: Cell) -> Text:
    text = Text()
    for cell in cells:
        shown, style = (cell, "") if isinstance(cell, str) else cell
        text.append(escape(shown), style)
    return text


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return `1 action`, `2 actions`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def seconds(value: float | None) -> str:
    """Return a duration as it is read: 0.04 s, 1.2 s, 12 s, 2 min 5 s; nothing for None."""
    if value is None:
        return ""
    if value < 0.095:
        return f"{value:.2f} s"
    if value < 9.95:
        return f"{value:.1f} s"
    if value < 99.5:
        return f"{value:.0f} s"
    return f"{round(value) // 60} min {round(value) % 60} s"


def moment(value: str | None) -> str:
    """Return an ISO time in the operator's time zone, to the second."""
    if not value:
        return ""
    return datetime.fromisoformat(value).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
