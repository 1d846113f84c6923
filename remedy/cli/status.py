"""`remedy status`: what is applied and what drifted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from remedy.cli.context import Session
from remedy.cli.help import RemedyCommand, command_app
from remedy.errors import SpecError

if TYPE_CHECKING:
    from remedy.spec.models import Spec

app = command_app()

EXAMPLES = """
remedy status
remedy status --detailed-exitcode          # 0 as it should be, 2 drift, 8 a run waits
remedy status --format json | jq .state
"""


@app.command(cls=RemedyCommand, epilog=EXAMPLES)
def status(
    context: typer.Context,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="exit 2 on drift, 8 when a run waits")
    ] = False,
) -> None:
    """Show what is applied, what drifted, and what waits.

    Drift is a difference between the host and what the last run left: rules that somebody edited, a
    daemon.json that changed, a container with a new address.
    """
    from remedy.apply.status import status_report

    session = Session(context)
    spec, problem = _spec_or_problem(session)
    report = status_report(session.facts(), spec, session.settings())
    session.show("status", report.model_dump(mode="json", by_alias=True))
    if problem is not None:
        raise problem
    if not detailed_exitcode:
        return
    if report.state in ("pending", "interrupted"):
        raise typer.Exit(8)
    if report.drift:
        raise typer.Exit(2)


def _spec_or_problem(session: Session) -> tuple[Spec | None, SpecError | None]:
    """A broken remedy.yaml must not hide what is applied: it is told after that. As JSON there is one answer only."""
    try:
        return session.spec_if_any(), None
    except SpecError as error:
        if session.options.format == "json":
            raise
        return None, error
