"""`remedy apply`: makes the change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remedy.cli.context import Session
from remedy.cli.help import RemedyCommand, command_app
from remedy.cli.runs import ask, finish, follow
from remedy.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from remedy.apply.settings import Settings
    from remedy.plan.model import Plan

app = command_app()

EXAMPLES = """
remedy apply                               # shows the plan and asks
remedy apply --yes                         # for scripts
remedy apply friday.plan --yes             # exactly the plan that was read; refused if the host changed since
remedy apply friday.plan --dry-run         # does it still fit this host? changes nothing
remedy apply --yes --confirm-within 60s    # undone unless `remedy confirm` comes in time
"""


@app.command(cls=RemedyCommand, epilog=EXAMPLES)
def apply(
    context: typer.Context,
    plan_file: Annotated[
        Path | None, typer.Argument(metavar="PLAN", help="a plan saved by `remedy plan -o PLAN`")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    confirm_within: Annotated[
        str | None,
        typer.Option("--confirm-within", metavar="D", help="roll back unless confirmed in time: 60s, 5m, 1h"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show the plan, or why it would not be applied, and change nothing")
    ] = False,
) -> None:
    """Make the change, verified by traffic; put everything back if something breaks.

    Connections that work before must work after, or the host is put back as it was (exit 3). Nothing is
    changed when the plan is refused (7), stale (6), or another run is at work (5) or waits (8).
    """
    session = Session(context)
    session.must_work_on_this_host("apply")
    seconds = _seconds(confirm_within)
    session.stop_if_a_run_waits(session.settings())
    plan = _plan(session, plan_file)
    settings = session.settings(plan.confirm_within_seconds if seconds is None else seconds)
    if dry_run:
        _preview(session, plan, settings)
        return
    if not session.options.is_json:
        session.show_plan(plan)
    if plan.refusals:
        raise _refused(plan)
    if plan.changes and not yes:
        ask("Apply this plan?", "apply", session.options)

    from remedy.apply.run import apply_plan

    with follow(session.options) as on_event:
        report = apply_plan(plan, settings=settings, on_event=on_event)
    finish(report, session.options)


def _preview(session: Session, plan: Plan, settings: Settings) -> None:
    from remedy.apply.run import preview_apply

    if plan.refusals:
        raise _refused(plan)
    preview_apply(plan, settings=settings)
    session.show_plan(plan)


def _seconds(text: str | None) -> int | None:
    from remedy.spec.duration import parse_duration

    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--confirm-within: {error}", next_step="remedy apply --confirm-within 60s") from error


def _plan(session: Session, plan_file: Path | None) -> Plan:
    if plan_file is None:
        return session.plan()
    from remedy.plan.plan_file import load_plan

    return load_plan(plan_file)


def _refused(plan: Plan) -> RefusedError:
    return RefusedError(
        "the plan is refused as unsafe; nothing was changed",
        why="\n".join(f"{refusal.what}: {refusal.why}" for refusal in plan.refusals),
        next_step="\n".join(dict.fromkeys(refusal.cure for refusal in plan.refusals if refusal.cure)) or None,
    )
