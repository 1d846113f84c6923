"""`remedy rollback`: undoes a run."""

from __future__ import annotations

from typing import Annotated

import typer

from remedy.cli.context import Session
from remedy.cli.help import RemedyCommand, command_app
from remedy.cli.runs import ask, finish, follow

app = command_app()

EXAMPLES = """
remedy rollback                            # the last run; shows what will be undone and asks
remedy rollback --yes
remedy rollback --dry-run --format json    # what it would undo, and whether it would refuse
remedy history                             # the runs' names ...
remedy rollback 20261104-101500-3fa9 --yes # ... and one of them
"""


@app.command(cls=RemedyCommand, epilog=EXAMPLES)
def rollback(
    context: typer.Context,
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="the run to undo; the last one")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="also over changes that others made to the same things since")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show what would be undone, or why not, and change nothing")
    ] = False,
) -> None:
    """Undo the last run, or the one named.

    Works on finished, pending and interrupted runs. daemon.json comes back byte for byte, rules, sysctls and
    bridge ports as they were. If others changed the same things since, it refuses (7) unless --force.
    """
    from remedy.apply.rollback import describe_rollback, preview_rollback, rollback_run

    session = Session(context)
    session.must_work_on_this_host("rollback")
    settings = session.settings()
    if dry_run:
        session.show_rollback(preview_rollback(run, force=force, settings=settings))
        return
    if not session.options.is_json or not yes:
        steps = describe_rollback(run, settings)
        if steps and not session.options.is_json:
            session.show_rollback(tuple(steps))
        if steps and not yes:
            ask("Undo this?", "rollback", session.options)
    with follow(session.options) as on_event:
        report = rollback_run(run, force=force, settings=settings, on_event=on_event)
    finish(report, session.options)
