"""`remedy doctor`: what is wrong with this host's published ports."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remedy.cli.context import Session
from remedy.cli.help import RemedyCommand, command_app
from remedy.errors import PermissionNeededError, RemedyError, UsageError

if TYPE_CHECKING:
    from remedy.doctor.model import Diagnosis
    from remedy.doctor.patient import Measured
    from remedy.facts.model import HostFacts

app = command_app()

EXAMPLES = """
remedy doctor
remedy doctor --observe 10m                # who connects while it watches; ^C ends it early
remedy doctor --bundle bug.tar.gz          # for a bug report, secrets taken out
remedy doctor --detailed-exitcode          # 0 nothing found, 2 findings
remedy doctor --facts web1.facts.json --format json | jq '.findings[0]'
"""


@app.command(cls=RemedyCommand, epilog=EXAMPLES)
def doctor(
    context: typer.Context,
    observe: Annotated[
        str | None, typer.Option("--observe", metavar="D", help="watch the published ports first: 30s, 10m, 1h")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", metavar="FILE", help="write what a bug report needs (.tar.gz or .json)")
    ] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="exit 2 when there are findings")
    ] = False,
) -> None:
    """Find what runs through docker-proxy, what that costs, and what else is wrong.

    Every finding has its evidence, what follows from it, what to do about it, and how sure it is; the dearest
    stands first. Changes nothing. With --observe it watches who uses the published ports, and keeps that for
    `remedy plan`.
    """
    session = Session(context)
    seconds = _seconds(session, observe)
    if bundle is not None:
        from remedy.doctor.bundle import check_absent

        check_absent(bundle)
    facts = session.facts()
    before = facts
    if seconds is not None:
        _watch(session, facts, seconds)
        facts = session.facts()
    diagnosis = _diagnose(session, before, facts)
    session.show("doctor", diagnosis.model_dump(mode="json", by_alias=True))
    if bundle is not None:
        from remedy.doctor.bundle import write_bundle

        write_bundle(bundle, facts, diagnosis, session.settings().state_dir)
        _note(
            session, f"Wrote {bundle}: secrets are taken out, names and addresses are not. Read it before you send it."
        )
    if detailed_exitcode and diagnosis.findings:
        raise typer.Exit(2)


def _seconds(session: Session, observe: str | None) -> int | None:
    from remedy.spec.duration import parse_duration

    if observe is None:
        return None
    if session.options.facts is not None:
        raise UsageError("--observe watches a host, and --facts is a file", where="remedy doctor")
    try:
        return parse_duration(observe)
    except ValueError as error:
        raise UsageError(f"--observe: {error}", where="remedy doctor", next_step="remedy doctor --help") from error


def _watch(session: Session, facts: HostFacts, seconds: int) -> None:
    import os

    from remedy.cli.views.observing import Observing
    from remedy.doctor.memory import remember
    from remedy.doctor.watch import Watcher
    from remedy.facts.model import Observed

    settings = session.settings()
    if not settings.is_local or not any(space.is_host for space in facts.namespaces):
        raise RemedyError("only the host's own engine can be watched", where=settings.socket, next_step="run it there")
    if os.geteuid() != 0:
        raise PermissionNeededError("watching needs root", where="remedy doctor --observe", next_step="sudo remedy ...")
    machine = facts.host.machine_id
    remember(settings.state_dir, machine, Observed())  # better to fail now than after an hour
    with Observing(session.options) as view:
        watcher = Watcher(facts, session.facts, lambda seen: remember(settings.state_dir, machine, seen))
        watcher.run(seconds, view.show)
    if watcher.was_interrupted:
        _note(session, "Ended early; what was seen until then is kept.")


def _diagnose(session: Session, before: HostFacts, now: HostFacts) -> Diagnosis:
    from remedy.doctor.diagnosis import diagnose

    return diagnose(now, _measured(session, before))


def _measured(session: Session, before: HostFacts) -> Measured | None:
    from remedy.doctor.measure import measure

    return None if session.options.facts is not None else measure(before)


def _note(session: Session, sentence: str) -> None:
    """Beside the findings: standard output is theirs."""
    from remedy.cli.views.console import make_console
    from remedy.cli.views.escape import escape

    make_console(session.options, sys.stderr).print(escape(sentence))
