"""Where the benchmarks write: progress on standard error, tables on standard output, figures into a file."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

PLAIN_WIDTH = 170
BUSY = 0.5  # load for each processor, from which on figures say more about the neighbours


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


def load_lines(load: float, processors: int) -> list[str]:
    """What to think of figures that were taken on a machine with that load before the benchmark began."""
    if load <= processors * BUSY:
        return []
    return [f"The machine was busy (load {load:.1f}, {processors} processors): measure again when it is not."]


def busy_lines() -> list[str]:
    """The same for this machine, now: to be asked before the benchmark makes load itself."""
    return load_lines(os.getloadavg()[0], os.cpu_count() or 1)


def write_json(path: Path, figures: object) -> None:
    """Replace the file."""
    path.write_text(json.dumps(figures, indent=1) + "\n")
