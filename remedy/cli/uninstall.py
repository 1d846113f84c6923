"""`remedy uninstall`: undoes everything, and removes what remedy keeps on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from remedy.cli.context import Session
from remedy.cli.help import RemedyCommand, command_app
from remedy.cli.runs import ask, finish, follow

if TYPE_CHECKING:
    from remedy.apply.uninstall import Uninstalled

app = command_app()

EXAMPLES = """
remedy uninstall                 # shows what will be undone and asks
remedy uninstall --yes
"""


@app.command(cls=RemedyCommand, epilog=EXAMPLES)
def uninstall(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="also over changes that others made to the same things since")
    ] = False,
) -> None:
    """Undo everything that is applied and remove remedy's services and state.

    Rolls back every run, the newest first; then the watcher's service, guards and /var/lib/remedy go. Where a rollback
    is refused or stays incomplete, services and state stay too. remedy.yaml and the program are yours to delete.
    """
    from remedy.apply.rollback import describe_rollback
    from remedy.apply.uninstall import uninstall as uninstall_everything

    session = Session(context)
    session.must_work_on_this_host("uninstall")
    settings = session.settings()
    steps = describe_rollback(None, settings)
    if steps and not session.options.is_json:
        session.show_rollback(steps)
    if not yes:
        ask("Undo everything and remove remedy's services and state?", "uninstall", session.options)
    with follow(session.options) as on_event:
        done = uninstall_everything(settings, force=force, on_event=on_event)
    if done.exit_code:
        finish(done.rolled_back[-1], session.options)
    _show(session, done)


def _show(session: Session, done: Uninstalled) -> None:
    runs = [report.run for report in done.rolled_back]
    described = {"result": "uninstalled", "runs": runs, "units": list(done.units), "left": list(done.left)}
    undone = f"{len(runs)} run{'s' * (len(runs) != 1)} undone, " if runs else ""
    left = f" Left, as it is not remedy's: {', '.join(done.left)}." if done.left else ""
    session.say(
        described,
        f"Uninstalled: {undone}{len(done.units)} service{'s' * (len(done.units) != 1)} and the state removed.{left}",
    )
