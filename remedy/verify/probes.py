"""The plan's probes, tried side by side from where their consumers are."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from remedy.apply.model import ProbeReport
from remedy.errors import RemedyError
from remedy.facts.model import HostFacts
from remedy.host.namespaces import run_in_network_namespace
from remedy.plan.model import ProbePlan
from remedy.spec.models import HostPort
from remedy.verify.connect import Answer, connect

WORKERS = 16
RETRY_SECONDS = 4.0
RETRY_INTERVAL_SECONDS = 0.25

Key = tuple[str, str]


def probe_all(probes: Sequence[ProbePlan], facts: HostFacts) -> dict[Key, Answer | None]:
    """Try every probe once; None where this host cannot try it (`external` is another machine).

    Keys are (from, to).
    """
    pids = {container.name: container.pid for container in facts.containers if container.is_running}
    with ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="remedy-probe") as pool:
        answers = pool.map(lambda probe: _try(probe, pids), probes)
        return {(probe.from_, probe.to): answer for probe, answer in zip(probes, answers, strict=True)}


def probe_until_as_before(
    probes: Sequence[ProbePlan], facts: HostFacts, before: dict[Key, Answer | None]
) -> dict[Key, Answer | None]:
    """Try until each probe that worked before works again, or RETRY_SECONDS have passed."""
    answers = probe_all(probes, facts)
    deadline = time.monotonic() + RETRY_SECONDS
    while time.monotonic() < deadline:
        missing = [p for p in probes if is_regression(before.get((p.from_, p.to)), answers.get((p.from_, p.to)))]
        if not missing:
            break
        time.sleep(RETRY_INTERVAL_SECONDS)
        answers |= probe_all(missing, facts)
    return answers


def is_regression(before: Answer | None, after: Answer | None) -> bool:
    """It worked before and does not now."""
    return before is not None and before.worked and (after is None or not after.worked)


def reports(
    probes: Iterable[ProbePlan], before: dict[Key, Answer | None], after: dict[Key, Answer | None]
) -> tuple[ProbeReport, ...]:
    """The probes with what came of them before and after."""
    return tuple(_report(probe, before, after) for probe in probes)


def _report(probe: ProbePlan, before: dict[Key, Answer | None], after: dict[Key, Answer | None]) -> ProbeReport:
    key = (probe.from_, probe.to)
    first, second = before.get(key), after.get(key)
    untried = "not tried: another machine would have to" if probe.from_ == "external" else ""
    return ProbeReport(
        from_=probe.from_,
        to=probe.to,
        http=probe.http,
        before=None if first is None else first.worked,
        after=None if second is None else second.worked,
        before_detail=untried if first is None else first.detail,
        after_detail=untried if second is None else second.detail,
        milliseconds_before=None if first is None else first.milliseconds,
        milliseconds_after=None if second is None else second.milliseconds,
    )


def _try(probe: ProbePlan, pids: dict[str, int]) -> Answer | None:
    to = HostPort.parse(probe.to)
    if to.protocol != "tcp" or probe.from_ == "external":
        return None
    if probe.from_ == "host":
        return connect(to, probe.http)
    pid = pids.get(probe.from_)
    if pid is None:
        return Answer(False, "the container does not run", 0.0)
    try:
        return run_in_network_namespace(pid, lambda: connect(to, probe.http))
    except (OSError, RemedyError) as error:
        return Answer(False, f"its network namespace cannot be entered: {error}", 0.0)
