"""`remedy confirm`: keeps a change that waits for it."""

from __future__ import annotations

import typer

from remedy.cli.context import Session
from remedy.cli.help import RemedyCommand, command_app
from remedy.cli.runs import finish

app = command_app()

EXAMPLES = """
remedy confirm
remedy apply --yes --confirm-within 60s && curl -f http://shop.example/ && remedy confirm
"""


@app.command(cls=RemedyCommand, epilog=EXAMPLES)
def confirm(context: typer.Context) -> None:
    """Keep a change that was applied with --confirm-within.

    Without it the change is undone at the deadline, also after a reboot. Confirming twice does no harm.
    """
    from remedy.apply.pending import confirm_run

    session = Session(context)
    session.must_work_on_this_host("confirm")
    finish(confirm_run(session.settings()), session.options)
