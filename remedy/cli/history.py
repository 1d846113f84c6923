"""`remedy history`: the runs on this host."""

from __future__ import annotations

import typer

from remedy.cli.context import Session
from remedy.cli.help import RemedyCommand, command_app

app = command_app()

EXAMPLES = """
remedy history
remedy history --format json | jq '.runs[0]'
"""


@app.command(cls=RemedyCommand, epilog=EXAMPLES)
def history(context: typer.Context) -> None:
    """List the runs on this host.

    Newest first: what each did, how it ended, and what undid it.
    """
    from remedy.apply.history import history_report

    session = Session(context)
    session.show("history", history_report(session.settings()).model_dump(mode="json", by_alias=True))
