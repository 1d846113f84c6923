"""`remedy init`: a remedy.yaml for this host."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remedy.cli.context import Session
from remedy.cli.help import RemedyCommand, command_app
from remedy.errors import InputError, RemedyError

if TYPE_CHECKING:
    from remedy.facts.model import HostFacts
    from remedy.spec.judgement import Judgement
    from remedy.spec.models import Spec

app = command_app()

EXAMPLES = """
remedy init && remedy plan
remedy init -o -                           # print it
remedy init -o /etc/remedy/remedy.yaml --force
"""


@app.command(cls=RemedyCommand, epilog=EXAMPLES)
def init(
    context: typer.Context,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="where to (--config, else ./remedy.yaml); - prints it"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="overwrite the file")] = False,
) -> None:
    """Write a commented remedy.yaml that is right for this host.

    It proposes what loses nobody: each candidate is planned, and what the planner refuses is left out as a
    comment with the reason. What it writes can be applied without an edit.
    """
    from remedy.spec.load import parse_spec
    from remedy.spec.proposal import propose
    from remedy.spec.render import render_yaml

    session = Session(context)
    target = output or session.options.config or Path("remedy.yaml")
    to_terminal = str(target) == "-"
    if not to_terminal and not force:
        _refuse_existing(target)
    facts = session.facts()
    place = None if to_terminal or session.options.facts is not None else os.path.abspath(target)  # noqa: PTH100
    text = render_yaml(propose(facts, lambda spec: _judge(spec, facts, place)))
    parse_spec(text, "the proposal")
    if to_terminal:
        typer.echo(text, nl=False)
        return
    _write(target, text, force=force)
    taken = parse_spec(text, str(target)).remedies.model_dump(mode="json", exclude_none=True)
    named = (
        ", ".join(f"{key}: {str(value).lower()}" for key, value in taken.items()) or "no remedy, the reasons are in it"
    )
    session.say({"written": str(target), "remedies": taken}, f"Wrote {target} ({named}). Read it, then: remedy plan")


def _judge(spec: Spec, facts: HostFacts, place: str | None) -> Judgement:
    """Ask the planner. A candidate that cannot even be planned is refused for that. place: where it will be kept."""
    from remedy.plan.planner import make_plan
    from remedy.spec.discovery import SeenPath
    from remedy.spec.judgement import Judgement, Objection

    try:
        plan = make_plan(spec, facts, spec_digest="", now=facts.gathered_at, spec_path=place)
    except RemedyError as error:
        return Judgement(False, (Objection(error.what, error.why or "", error.next_step or "see the reason"),))
    return Judgement(
        changes=plan.changes,
        objections=tuple(Objection(r.what, r.why, r.cure, r.accepted_by) for r in plan.refusals),
        paths=tuple(SeenPath(p.from_, p.to, p.container, p.before, p.after) for p in plan.paths),
        is_useful=all(warning.code != "user-network-without-servers" for warning in plan.warnings),
    )


def _refuse_existing(target: Path) -> None:
    if os.path.lexists(target):
        raise RemedyError(
            "the file is there already, and was left alone",
            where=str(target),
            next_step="remedy init --force overwrites it; -o FILE writes another",
        )


def _write(target: Path, text: str, *, force: bool) -> None:
    from remedy.host.files import write_atomically

    if target.is_dir():
        raise InputError("this is a directory", where=str(target), next_step=f"-o {target}/remedy.yaml")
    if not force:
        _refuse_existing(target)
    try:
        write_atomically(target, text.encode(), mode=0o644)
    except OSError as error:
        raise InputError("cannot be written", where=str(target), why=error.strerror) from error
