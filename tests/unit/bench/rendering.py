"""Tables as text."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table


def rows_of(table: Table) -> list[list[str]]:
    """The rows, cell by cell, without the lines between them."""
    stream = io.StringIO()
    Console(file=stream, width=250).print(table)
    lines = [line.replace("┃", "│") for line in stream.getvalue().splitlines() if "│" in line or "┃" in line]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
