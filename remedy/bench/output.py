"""Where the benchmarks write: progress on standard error, tables on standard output, figures into a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

PLAIN_WIDTH = 170


def say(text: str) -> None:
    """Tell what is being done."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def print_table(table: Table, lines: Sequence[str]) -> None:
    """Write a table, whole where the output is no terminal, and the sentences below it."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    console.print(table)
    for line in lines:
        console.print(line, markup=False)


def write_json(path: Path, figures: object) -> None:
    """Replace the file."""
    path.write_text(json.dumps(figures, indent=1) + "\n")
