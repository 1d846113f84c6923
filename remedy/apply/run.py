"""apply: lock, check, baseline, journal, act, verify, and commit or put everything back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from remedy.actions.context import ActionContext
from remedy.actions.registry import executor_for
from remedy.apply.guard import arm_guard, check_guard_possible, remove_guard
from remedy.apply.interrupts import Interrupts, catch_interrupts
from remedy.apply.journal import Journal, utc_now
from remedy.apply.lock import host_lock
from remedy.apply.meanwhile import container_changes
from remedy.apply.model import ProbeReport, RunOutcome, RunReport
from remedy.apply.preflight import (
    check_can_work,
    check_fresh,
    check_may_change,
    check_nothing_waits,
    check_refusals,
)
from remedy.apply.progress import OnEvent, Progress
from remedy.apply.runs import active_run, new_run, run_named
from remedy.apply.settings import Settings
from remedy.apply.undo import undo_run
from remedy.errors import InputError, InterruptedRunError, StalePlanError, VerificationFailedError
from remedy.facts.gathering import gather
from remedy.facts.model import HostFacts
from remedy.plan.model import Plan
from remedy.verify.connect import Answer
from remedy.verify.probes import Key, is_regression, probe_all, probe_until_as_before, reports
from remedy.verify.rewiring import servers_out_of_reach
from remedy.verify.untracked import pairs_out_of_reach

EXIT_FAILED, EXIT_ROLLED_BACK, EXIT_INCOMPLETE, EXIT_INTERRUPTED = 1, 3, 4, 130


@dataclass(slots=True)
class _Run:
    """What one apply carries from step to step."""

    id: str
    plan: Plan
    settings: Settings
    journal: Journal
    context: ActionContext
    progress: Progress
    interrupts: Interrupts
    facts: HostFacts  # as they were before the first change
    baseline: dict[Key, Answer | None]


def apply_plan(plan: Plan, *, settings: Settings, on_event: OnEvent) -> RunReport:
    """Apply a plan: either it is all there and traffic flows, or everything is as it was.

    Raises PermissionNeededError, RefusedError, LockHeldError, RunWaitingError, StalePlanError, InputError and
    EngineError before anything is changed; what happens afterwards is in the report.
    """
    with _checked(plan, settings) as facts:
        if not plan.actions:
            return RunReport(run="", command="apply", result="nothing", exit_code=0, message="nothing to do")
        return _apply_with_lock(plan, facts, settings, on_event)


def preview_apply(plan: Plan, *, settings: Settings) -> None:
    """Raise what `apply_plan` would raise before its first write: refused, stale, locked, waiting, not writable."""
    with _checked(plan, settings) as facts:
        if plan.actions:
            check_can_work(plan, facts, ActionContext.for_host(plan.socket, settings.state_dir))


@contextmanager
def _checked(plan: Plan, settings: Settings) -> Iterator[HostFacts]:
    """Hold the lock of a host that this plan fits, and yield its facts."""
    check_may_change(settings, "remedy apply")
    check_refusals(plan)
    if settings.confirm_within_seconds is not None:
        check_guard_possible()
    with host_lock(settings, "apply"):
        check_nothing_waits(settings)
        facts = gather(socket=plan.socket, daemon_json_path=plan.daemon_json_path)
        try:
            check_fresh(plan, facts)
        except StalePlanError as error:
            raise _applied_already(plan, settings, error) from error
        yield facts


def _applied_already(plan: Plan, settings: Settings, error: StalePlanError) -> StalePlanError:
    """Say of a stale plan that it was applied itself, where that is why the host is another one."""
    run = active_run(settings)
    if run is not None and run.state == "applied":
        applied = run.plan
        if (applied.fingerprint, applied.created_at) == (plan.fingerprint, plan.created_at):
            error.why = f"run {run.id} has applied this very plan; {error.why}"
            error.next_step = "nothing, if remedy status shows no drift"
    return error


def _apply_with_lock(plan: Plan, facts: HostFacts, settings: Settings, on_event: OnEvent) -> RunReport:
    check_can_work(plan, facts, ActionContext.for_host(plan.socket, settings.state_dir))
    try:
        run_id, journal = new_run(settings, plan, utc_now())
    except OSError as error:
        raise InputError(
            "the run's journal cannot be written",
            where=str(settings.runs_dir),
            why=error.strerror,
            next_step="make room there; nothing was changed",
        ) from error
    progress = Progress(run_id, on_event)
    context = ActionContext.for_host(plan.socket, settings.state_dir, progress.note)
    with catch_interrupts(progress.warn) as interrupts:
        progress.phase("trying today's connections")
        baseline = probe_all(plan.probes, facts)
        run = _Run(run_id, plan, settings, journal, context, progress, interrupts, facts, baseline)
        try:
            return _act_and_verify(run)
        finally:
            journal.close()


def _act_and_verify(run: _Run) -> RunReport:
    run.progress.plan(run.plan.actions)
    run.journal.write("started", command="apply", fingerprint=run.plan.fingerprint)
    try:
        _arm(run)
        _act(run)
        answers = _verify(run)
        run.interrupts.keep()
        return _commit(run, answers)
    except Exception as error:  # whatever it is, the host is put back first
        run.interrupts.go_back()
        return _put_back(run, error)


def _arm(run: _Run) -> None:
    seconds = run.settings.confirm_within_seconds
    if seconds is not None:
        deadline = utc_now() + timedelta(seconds=seconds)
        run.journal.write("armed", deadline=deadline.isoformat())
        arm_guard(run.id, run.settings)


def _act(run: _Run) -> None:
    run.progress.phase("making the change")
    for action in run.plan.actions:
        run.interrupts.stop_if_asked()
        executor = executor_for(action, run.context)
        run.journal.write("intent", action.id, undo=executor.undo_data())
        with run.progress.step(action):
            executor.apply()
        run.journal.write("done", action.id)


def _verify(run: _Run) -> dict[Key, Answer | None]:
    run.progress.phase("trying the same connections again")
    # Read again: a container that restarted meanwhile has another process.
    facts = gather(socket=run.plan.socket, daemon_json_path=run.plan.daemon_json_path)
    answers = probe_until_as_before(run.plan.probes, facts, run.baseline)
    unreached = servers_out_of_reach(run.plan.actions, facts)
    if unreached:
        run.journal.write("verification-failed", lost=list(unreached))
        raise VerificationFailedError("haproxy does not reach its servers by name", why="; ".join(unreached[:4]))
    silent = pairs_out_of_reach(run.plan.actions, facts)
    if silent:
        run.journal.write("verification-failed", lost=list(silent))
        raise VerificationFailedError("untracked pairs do not reach each other", why="; ".join(silent[:4]))
    lost = [key for key, before in run.baseline.items() if is_regression(before, answers.get(key))]
    if lost:
        shown = "; ".join(f"{who} -> {to}: {_detail(answers.get((who, to)))}" for who, to in lost[:4])
        run.journal.write("verification-failed", lost=[f"{who} -> {to}" for who, to in lost])
        raise VerificationFailedError(
            f"{len(lost)} connection{'s' * (len(lost) > 1)} that worked before do not work after the change", why=shown
        )
    return answers


def _detail(answer: Answer | None) -> str:
    return "not tried" if answer is None else answer.detail


def _commit(run: _Run, answers: dict[Key, Answer | None]) -> RunReport:
    seconds = run.settings.confirm_within_seconds
    probes = reports(run.plan.probes, run.baseline, answers)
    if seconds is None:
        run.journal.write("committed")
        return _report(run, "applied", 0, probes, "applied and verified")
    deadline = utc_now() + timedelta(seconds=seconds)
    run.journal.write("pending", deadline=deadline.isoformat())
    message = f"applied; unless `remedy confirm` comes by {deadline:%H:%M:%S} UTC, everything is put back"
    return _report(run, "pending", 0, probes, message).model_copy(update={"deadline": deadline})


def _put_back(run: _Run, error: Exception) -> RunReport:
    run.progress.phase("putting everything back")
    known = run_named(run.settings, run.id)
    changed = bool(known.to_undo())
    facts = _facts_or_none(run.plan)
    undone = undo_run(known, facts, run.context, run.journal, run.progress)
    message = str(error) + _what_others_did(run, facts)
    if not undone.is_complete:
        _write_end(run, "rollback-incomplete", message)
        message += f"\nnot everything could be put back: {undone.why}"
        report = _report(run, "rollback-incomplete", EXIT_INCOMPLETE, (), message)
        return report.model_copy(update={"leftover": undone.leftover})
    is_stopped = isinstance(error, InterruptedRunError)
    _write_end(run, "rolled-back" if changed or is_stopped else "failed", message)
    remove_guard(run.id, run.progress)
    if is_stopped:
        return _report(run, "interrupted-rolled-back", EXIT_INTERRUPTED, _probes_after(run), message)
    if not changed:
        return _report(run, "failed", EXIT_FAILED, (), message)
    return _report(run, "rolled-back", EXIT_ROLLED_BACK, _probes_after(run), message)


def _what_others_did(run: _Run, facts: HostFacts | None) -> str:
    """A container that somebody stopped meanwhile explains more than the connection that it lost."""
    if facts is None or any(action.disruption.containers for action in run.plan.actions):
        return ""  # nothing is known, or the restart itself stops containers
    changes = container_changes(run.facts, facts)
    return "\nmeanwhile, and not by this run: " + ", ".join(changes) if changes else ""


def _facts_or_none(plan: Plan) -> HostFacts | None:
    """Today's facts; None when they cannot be had (the engine is down): then nothing can be bridged, and nothing is."""
    try:
        return gather(socket=plan.socket, daemon_json_path=plan.daemon_json_path)
    except Exception:  # the host is put back with or without them
        return None


def _probes_after(run: _Run) -> tuple[ProbeReport, ...]:
    facts = _facts_or_none(run.plan)
    after = {} if facts is None else probe_until_as_before(run.plan.probes, facts, run.baseline)
    return reports(run.plan.probes, run.baseline, after)


def _write_end(run: _Run, event: str, message: str) -> None:
    try:
        run.journal.write(event, why=message)
    except OSError as error:
        run.progress.warn(f"the journal cannot be written ({error.strerror}): `remedy rollback` will look once more")


def _report(run: _Run, outcome: RunOutcome, exit_code: int, probes: tuple[ProbeReport, ...], message: str) -> RunReport:
    return RunReport(
        run=run.id,
        command="apply",
        result=outcome,
        exit_code=exit_code,
        actions=run.progress.reports,
        probes=probes,
        message=message,
        log=str(run.journal.path),
    )
