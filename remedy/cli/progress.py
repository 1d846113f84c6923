"""How far work on many hosts has come, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from remedy.cli.options import GlobalOptions

if TYPE_CHECKING:
    from remedy.fleet.answers import HostAnswers


@contextmanager
def counting(what: str, options: GlobalOptions) -> Iterator[Callable[[int, int], None]]:
    """A bar for a function that takes how many are done, of how many; on a person's terminal only."""
    from remedy.cli.views.console import make_console

    console = make_console(options, sys.stderr)
    if not console.is_terminal:
        yield lambda _done, _of: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=console, transient=True)
    task = progress.add_task(what, total=None)

    def show(done: int, of: int) -> None:
        progress.start()  # only now: it brings a thread, and processes are best made before there is one
        progress.update(task, completed=done, total=of)

    try:
        yield show
    finally:
        progress.stop()


@contextmanager
def telling(what: str, options: GlobalOptions) -> Iterator[Callable[[HostAnswers], None]]:
    """A bar on a terminal; elsewhere a line for each host that has answered, and nothing for a program."""
    told: set[str] = set()

    def tell(answers: HostAnswers) -> None:
        from remedy.cli.views.escape import escape

        for host in answers.hosts.values():
            if host.has_answered and host.name not in told:
                told.add(host.name)
                how = "failed" if host.error else what
                sys.stderr.write(f"{len(told)} of {len(answers.hosts)}: {escape(host.name)} {how}\n")

    if options.is_json or sys.stderr.isatty():
        with counting(what, options) as done:
            yield lambda answers: done(answers.answered, len(answers.hosts))
        return
    yield tell
