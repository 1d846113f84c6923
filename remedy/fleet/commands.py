"""What `remedy fleet` answers: a playbook played, and its answers put in order."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from remedy.errors import InputError
from remedy.fleet.ansible import Request, play
from remedy.fleet.answers import HostAnswer, HostAnswers
from remedy.fleet.grouping import Answer, Grouping, digest_of, outline_of, result_of
from remedy.fleet.model import FleetFacts, FleetPlan, FleetReport, PlannedHost, ReportedHost, SeenHost
from remedy.plan.model import PlanHost

OnAnswers = Callable[[HostAnswers], None]
REPORT = "remedy-report"
_NO_ANSWER = {
    "code": "ansible",
    "what": "the host has not answered",
    "where": None,
    "why": "the playbook ended before it came to this host",
    "next": "run it again",
    "exit_code": 1,
}


def plan_hosts(request: Request, plans: Path | None, on_answers: OnAnswers) -> FleetPlan:
    """Plan on every host, and save the plans in a directory of this machine. Raises what `play` raises."""
    variables = {} if plans is None else {"remedy_plans_dir": str(plans.absolute())}
    answers = play("plan", request, variables, on_answers)
    grouping = Grouping()
    for host in answers.hosts.values():
        grouping.add(_planned(host, plans))
    return grouping.plan()


def fetch_facts(request: Request, directory: Path, on_answers: OnAnswers) -> FleetFacts:
    """Bring the facts of every host into a directory of this machine. Raises what `play` raises."""
    answers = play("facts", request, {"remedy_facts_dir": str(directory.absolute())}, on_answers)
    rows = [_seen(host, directory) for host in answers.hosts.values()]
    return FleetFacts(directory=str(directory), hosts=tuple(rows))


def report_hosts(request: Request, directory: Path | None, on_answers: OnAnswers) -> FleetReport:
    """Ask every host for its status and its doctor; with a directory, leave the report there as files, too.

    Raises what `play` raises.
    """
    with tempfile.TemporaryDirectory(prefix="remedy-report-") as temporary:
        place = Path(temporary) if directory is None else directory.absolute()
        place.mkdir(parents=True, exist_ok=True)
        answers = play("report", request, {"remedy_report_dir": str(place)}, on_answers)
        written = _read_report(place / f"{REPORT}.json")
    rows = [_reported(host, written.get(host.name, {})) for host in answers.hosts.values()]
    return FleetReport(directory=None if directory is None else str(directory), hosts=tuple(rows))


def _planned(host: HostAnswer, plans: Path | None) -> Answer:
    if host.plan is None or host.error is not None:
        return Answer(PlannedHost(name=host.name, result="failed", error=host.error or _NO_ANSWER))
    outline = outline_of(host.plan)
    row = PlannedHost(
        name=host.name,
        result=result_of(host.plan),
        host=PlanHost.model_validate(host.plan["host"]),
        plan_file=None if plans is None else _file_of(host, plans, "plan"),
    )
    return Answer(row, digest_of(outline), outline)


def _seen(host: HostAnswer, directory: Path) -> SeenHost:
    file = _file_of(host, directory, "facts.json")
    if host.error is not None or file is None:
        return SeenHost(name=host.name, host=host.summary, error=host.error or _NO_ANSWER)
    return SeenHost(name=host.name, host=host.summary, facts_file=file)


def _file_of(host: HostAnswer, directory: Path, kind: str) -> str | None:
    path = directory / f"{host.file_name}.{kind}"
    return str(path) if host.file_name is not None and path.is_file() else None


def _reported(host: HostAnswer, written: dict[str, Any]) -> ReportedHost:
    status = written.get("status")
    error = None if status is not None else written.get("error") or host.error or _NO_ANSWER
    return ReportedHost(name=host.name, status=status, findings=written.get("findings"), error=error)


def _read_report(path: Path) -> dict[str, dict[str, Any]]:
    try:
        hosts = json.loads(path.read_text(encoding="utf-8"))["hosts"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError("the playbook has written no report", where=str(path), why=str(error)) from error
    return {host["host"]: host for host in hosts}
