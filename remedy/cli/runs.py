"""What apply, rollback and confirm share: asking first, progress meanwhile, the report at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import typer

from remedy.cli.options import GlobalOptions
from remedy.errors import RemedyError

if TYPE_CHECKING:
    from remedy.apply.model import Event, RunReport


def ask(question: str, command: str, options: GlobalOptions) -> None:
    """Go on only if the operator types yes.

    Raises RemedyError when there is nobody to ask (no terminal, or JSON is wanted), or the answer is no.
    """
    if options.is_json or not sys.stdin.isatty():
        raise RemedyError(
            f"{command} asks before it changes the host, and there is no terminal to ask on",
            why="--format json is for programs" if options.is_json else "standard input is not a terminal",
            next_step=f"remedy {command} --yes",
        )
    sys.stdout.write(f"\n{question} Only yes is accepted: ")
    sys.stdout.flush()
    if sys.stdin.readline().strip() != "yes":
        raise RemedyError("nothing was changed: the answer was not yes")


@contextmanager
def follow(options: GlobalOptions) -> Iterator[Callable[[Event], None]]:
    """Yield what takes the run's events: lines for a person, nothing for a program."""
    if options.is_json:
        yield lambda _event: None
        return
    from remedy.cli.views.console import make_console
    from remedy.cli.views.progress import Progress

    with Progress(make_console(options)) as progress:
        yield progress.show


def finish(report: RunReport, options: GlobalOptions) -> None:
    """Show how the run ended and exit with its code. Raises typer.Exit."""
    with suppress(OSError):  # a full disk under standard output must not hide how the run ended
        _show(report, options)
    raise typer.Exit(report.exit_code)


def _show(report: RunReport, options: GlobalOptions) -> None:
    described = report.model_dump(mode="json", by_alias=True)
    if options.is_json:
        from remedy.cli.views.console import write_json

        write_json(described)
    else:
        from remedy.cli.views.console import make_console
        from remedy.cli.views.run import show

        show(make_console(options), described)
