"""`remedy plan`: what would change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from remedy.cli.context import Session
from remedy.cli.help import RemedyCommand, command_app

app = command_app()

EXAMPLES = """
remedy plan
remedy plan -o friday.plan && remedy apply friday.plan
remedy plan --detailed-exitcode            # 0 nothing to do, 2 changes, 7 refused as unsafe
remedy plan --facts web1.facts.json --format json | jq '.actions[].summary'
"""


@app.command(cls=RemedyCommand, epilog=EXAMPLES)
def plan(
    context: typer.Context,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="PLAN", help="save the plan for `remedy apply PLAN`")
    ] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="exit 2 when there are changes")
    ] = False,
) -> None:
    """Show what would change, why, at what cost and how it is undone.

    Reads only. Every touch of the host is listed, in order, and `remedy apply` does exactly that. A plan that
    would cut somebody off is refused (exit 7) with the reason and the cure.
    """
    session = Session(context)
    made = session.with_waiting_run(session.plan())
    if output is not None:
        from remedy.plan.plan_file import save_plan

        save_plan(made, output)
    session.show_plan(made, saved_as=output)
    if made.refusals:
        raise typer.Exit(7)
    if detailed_exitcode and made.changes:
        raise typer.Exit(2)
