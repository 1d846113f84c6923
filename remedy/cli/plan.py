"""`remedy plan`: what would change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from remedy.cli.context import Session
from remedy.cli.help import RemedyCommand, command_app
from remedy.errors import UsageError

app = command_app()

EXAMPLES = """
remedy plan
remedy plan -o friday.plan && remedy apply friday.plan
remedy plan --detailed-exitcode            # 0 nothing to do, 2 changes, 7 refused as unsafe
remedy plan --facts web1.facts.json --format json | jq '.actions[].summary'
remedy plan --facts-dir facts/ -o plans/   # many hosts: a table, and each different plan once
"""


@app.command(cls=RemedyCommand, epilog=EXAMPLES)
def plan(
    context: typer.Context,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="PLAN", help="save the plan for `remedy apply PLAN`")
    ] = None,
    facts_dir: Annotated[
        Path | None,
        typer.Option("--facts-dir", metavar="DIR", help="plan every facts file in DIR; PLAN is a directory then"),
    ] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="exit 2 when there are changes")
    ] = False,
) -> None:
    """Show what would change, why, at what cost and how it is undone.

    Reads only. Every touch of the host is listed, in order, and `remedy apply` does exactly that. A plan that
    would cut somebody off is refused (exit 7) with the reason and the cure. Of many hosts the exit code is the
    worst: 1 where one could not be planned, then 7, then 2.
    """
    session = Session(context)
    if facts_dir is not None:
        raise typer.Exit(_plan_all(session, facts_dir, output, detailed_exitcode))
    made = session.with_waiting_run(session.plan())
    if output is not None:
        from remedy.plan.plan_file import save_plan

        save_plan(made, output)
    session.show_plan(made, saved_as=output)
    if made.refusals:
        raise typer.Exit(7)
    if detailed_exitcode and made.changes:
        raise typer.Exit(2)


def _plan_all(session: Session, facts_dir: Path, plans: Path | None, detailed_exitcode: bool) -> int:
    if session.options.facts is not None:
        raise UsageError("--facts is one host, and --facts-dir is many", next_step="remedy plan --facts-dir DIR")
    from remedy.cli.progress import counting
    from remedy.fleet.offline import plan_directory

    with counting("planned", session.options) as done:
        fleet = plan_directory(facts_dir, session.spec_path(), plans, done)
    session.show("fleet_plan", fleet.model_dump(mode="json", by_alias=True))
    return fleet.exit_code(detailed=detailed_exitcode)
