"""How far work on many hosts has come, on standard error; a person's terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from remedy.cli.options import GlobalOptions


@contextmanager
def counting(what: str, options: GlobalOptions) -> Iterator[Callable[[int, int], None]]:
    """A function that takes how many are done, of how many."""
    from remedy.cli.views.console import make_console

    console = make_console(options, sys.stderr)
    if not console.is_terminal:
        yield lambda _done, _of: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)
