"""rollback: undo a run, finished or not, exactly; and refuse to write over somebody else's change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from remedy.actions.context import ActionContext
from remedy.apply.foreign import foreign_changes, foreign_differences, keep_foreign_files
from remedy.apply.guard import remove_guard
from remedy.apply.interrupts import catch_interrupts
from remedy.apply.journal import Journal
from remedy.apply.lock import host_lock
from remedy.apply.model import ProbeReport, RunReport
from remedy.apply.preflight import check_may_change
from remedy.apply.progress import OnEvent, Progress
from remedy.apply.restarts import what_a_restart_brings_back
from remedy.apply.runs import Run, active_run, run_named
from remedy.apply.settings import Settings
from remedy.apply.undo import Undone, undo_run
from remedy.errors import RefusedError
from remedy.facts.gathering import gather
from remedy.facts.model import HostFacts
from remedy.plan.model import Plan
from remedy.verify.connect import Answer
from remedy.verify.probes import Key, is_regression, probe_all, probe_until_as_before, reports

EXIT_INCOMPLETE = 4
UNDOABLE = ("open", "pending", "applied", "rollback-incomplete")


def rollback_run(run: str | None, *, force: bool, settings: Settings, on_event: OnEvent) -> RunReport:
    """Undo the last run, or the named one. Nothing to undo is no error.

    Raises PermissionNeededError, LockHeldError, InputError (no such run) and RefusedError: somebody else changed
    the same thing since (unless `force`), or a newer run has to be undone first.
    """
    check_may_change(settings, "remedy rollback")
    with host_lock(settings, "rollback"):
        target = _target(run, settings)
        if target is None:
            return RunReport(
                run=run or "", command="rollback", result="nothing", exit_code=0, message="nothing to undo"
            )
        return roll_back_locked(target, settings=settings, on_event=on_event, force=force)


def roll_back_locked(
    run: Run,
    *,
    settings: Settings,
    on_event: OnEvent,
    command: Literal["rollback", "guard"] = "rollback",
    force: bool = False,
    why: str = "the operator asked for it",
) -> RunReport:
    """Undo this run. The caller holds the host's lock. Raises RefusedError over foreign changes unless `force`."""
    plan = run.plan
    facts = _facts_or_none(plan)
    changes = foreign_changes(run, facts)
    if changes and not force:
        # The guard's words go into the system journal, the operator's to a terminal.
        raise _foreign_refusal(run, changes, foreign_differences(run) if command == "rollback" else ())
    journal = run.journal()
    progress = Progress(run.id, on_event)
    try:
        with catch_interrupts(progress.warn) as interrupts:
            interrupts.go_back()
            progress.phase("trying today's connections")
            before = {} if facts is None else probe_all(plan.probes, facts)
            _record(journal, "rollback-started", command=command, why=why, force=force, overwritten=changes)
            _keep_what_is_overwritten(run, changes, progress)
            progress.phase("putting everything back")
            undone = _undo(run, facts, settings, journal, progress)
            return _finish(run, undone, command, journal, progress, before)
    finally:
        journal.close()


def describe_rollback(run: str | None, settings: Settings) -> tuple[str, ...]:
    """What a rollback would undo, newest first; () when there is nothing. Raises InputError, RefusedError."""
    target = _target(run, settings)
    if target is None:
        return ()
    return tuple(f"{action.inverse} (undoes: {action.summary})" for action, _ in target.to_undo())


def preview_rollback(run: str | None, *, force: bool, settings: Settings) -> tuple[str, ...]:
    """What `rollback_run` would undo now. Raises what it would raise before its first write."""
    check_may_change(settings, "remedy rollback")
    with host_lock(settings, "rollback"):
        target = _target(run, settings)
        if target is None:
            return ()
        changes = foreign_changes(target, _facts_or_none(target.plan))
        if changes and not force:
            raise _foreign_refusal(target, changes, foreign_differences(target))
        return describe_rollback(run, settings)


def _target(name: str | None, settings: Settings) -> Run | None:
    active = active_run(settings)
    if name is None:
        return active
    wanted = run_named(settings, name)
    if wanted.state not in UNDOABLE:
        return None
    if active is not None and active.id != wanted.id:
        raise RefusedError(
            f"run {wanted.id} is not the last one: {active.id} was applied after it",
            why="what the newer run changed rests on what the older one left",
            next_step=f"remedy rollback {active.id} first",
        )
    return wanted


def _facts_or_none(plan: Plan) -> HostFacts | None:
    """Today's facts; None when they cannot be had: the engine is down, as an interrupted run may have left it."""
    try:
        return gather(socket=plan.socket, daemon_json_path=plan.daemon_json_path)
    except Exception:  # the host is put back with or without them
        return None


def _foreign_refusal(run: Run, changes: tuple[str, ...], differences: tuple[str, ...]) -> RefusedError:
    return RefusedError(
        f"somebody else changed what run {run.id} changed",
        why="\n".join(("; ".join(changes), *differences)),
        next_step=f"put that change back yourself, or write over it: remedy rollback {run.id} --force",
    )


def _keep_what_is_overwritten(run: Run, changes: tuple[str, ...], progress: Progress) -> None:
    for change in changes:
        progress.warn(f"written over: {change}")
    try:
        kept = keep_foreign_files(run)
    except OSError as error:
        progress.warn(f"what was edited could not be kept: {error.strerror}")
    else:
        for copy in kept:
            progress.note(f"the edited {copy.name.removeprefix('overwritten-')} is kept as {copy}")


def _record(journal: Journal, event: str, **data: Any) -> None:
    """A full disk must not keep the host from being put back: a journal that says less only means to look again."""
    try:
        journal.write(event, **data)
    except OSError:
        return


def _undo(run: Run, facts: HostFacts | None, settings: Settings, journal: Journal, progress: Progress) -> Undone:
    context = ActionContext.for_host(run.plan.socket, settings.state_dir, progress.note)
    progress.plan(tuple(action for action, _ in run.to_undo()))
    return undo_run(run, facts, context, journal, progress)


def _finish(
    run: Run,
    undone: Undone,
    command: Literal["rollback", "guard"],
    journal: Journal,
    progress: Progress,
    before: dict[Key, Answer | None],
) -> RunReport:
    report = RunReport(
        run=run.id,
        command=command,
        result="rolled-back",
        exit_code=0,
        actions=progress.reports,
        log=str(journal.path),
        message=f"run {run.id} is undone",
    )
    if not undone.is_complete:
        _record(journal, "rollback-incomplete", failed=[failure.action.id for failure in undone.failed])
        return report.model_copy(
            update={
                "result": "rollback-incomplete",
                "exit_code": EXIT_INCOMPLETE,
                "leftover": undone.leftover,
                "message": f"not everything could be put back: {undone.why}",
            }
        )
    _record(journal, "rolled-back", command=command)
    remove_guard(run.id, progress, by_itself=command == "guard")
    probes, warnings = _probe_again(run.plan, before, progress.phase)
    return report.model_copy(update={"probes": probes, "warnings": warnings})


def _probe_again(
    plan: Plan, before: dict[Key, Answer | None], say: Callable[[str], None]
) -> tuple[tuple[ProbeReport, ...], tuple[str, ...]]:
    facts = _facts_or_none(plan)
    if facts is None:
        return (), ("the engine does not answer, so no connection was tried",)
    say("trying the same connections again")
    after = probe_until_as_before(plan.probes, facts, before)
    lost = [
        f"{who} -> {to} worked before the rollback and does not now"
        for (who, to), was in before.items()
        if is_regression(was, after.get((who, to)))
    ]
    return reports(plan.probes, before, after), (*lost, *what_a_restart_brings_back(plan, facts))
