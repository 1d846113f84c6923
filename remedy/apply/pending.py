"""confirm: keep what was applied with --confirm-within."""

from __future__ import annotations

from remedy.apply.guard import disarm_guard, seconds_left
from remedy.apply.lock import host_lock
from remedy.apply.model import RunReport
from remedy.apply.preflight import check_may_change, raise_if_waiting
from remedy.apply.runs import Run, active_run
from remedy.apply.settings import Settings
from remedy.errors import InputError


def confirm_run(settings: Settings) -> RunReport:
    """Keep the pending run. Confirming twice is no error.

    Raises InputError when nothing was applied or the deadline has passed, RunWaitingError when the run was
    interrupted, LockHeldError, PermissionNeededError.
    """
    check_may_change(settings, "remedy confirm")
    with host_lock(settings, "confirm"):
        run = active_run(settings)
        if run is None:
            raise InputError("there is no run to confirm", next_step="remedy history shows what became of the last one")
        if run.state == "applied":
            return _report(run, f"run {run.id} is confirmed already")
        if run.state != "pending":
            raise_if_waiting(run)
        left = seconds_left(run)
        if left is not None and left <= 0:
            raise InputError(
                f"the deadline of run {run.id} has passed",
                why="its guard rolls it back",
                next_step="remedy status; should the run still wait in a minute: remedy rollback",
            )
        journal = run.journal()
        journal.write("confirmed")
        journal.close()
        disarm_guard(run.id)
        return _report(run, f"run {run.id} stays")


def _report(run: Run, message: str) -> RunReport:
    return RunReport(run=run.id, command="apply", result="applied", exit_code=0, message=message)
