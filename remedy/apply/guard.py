"""The guard of `--confirm-within`: a systemd service that rolls back unless the run is confirmed in time.

It is no child of the terminal: a unit file on disk, enabled and started before the first change, so that it outlives
the SSH connection, a kill -9 of remedy and a reboot. It sleeps until the deadline; killed, it is started again; after a
reboot it starts with the host. confirm, rollback and it itself, when it is done, remove it without a trace.

Not a timer: one that was missed while the host was down fires only with a time stamp that systemd keeps elsewhere, and
one that has fired does not come back for a rollback that a power cut has ended.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from remedy.apply.journal import utc_now
from remedy.apply.lock import host_lock
from remedy.apply.model import RunReport
from remedy.apply.progress import Progress
from remedy.apply.runs import Run, run_named
from remedy.apply.settings import Settings
from remedy.errors import RefusedError, RemedyError
from remedy.host.units import install_unit, quoted, remove_unit, systemd_is_init

LOCK_PATIENCE_SECONDS = 600.0
LONGEST_SLEEP_SECONDS = 5.0  # the wall clock may be set meanwhile
EXIT_NOT_DONE = 4

# Type=exec and oneshot with Restart= are newer than some hosts. A rollback that fails is tried a few times.
_SERVICE = """\
[Unit]
Description=remedy: roll back run {run} unless it is confirmed in time
After=docker.service
StartLimitIntervalSec=600
StartLimitBurst=6

[Service]
Type=simple
ExecStart={command}
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
"""


def check_guard_possible() -> None:
    """Raises RefusedError where systemd is not the init."""
    if not systemd_is_init():
        raise RefusedError(
            "--confirm-within needs systemd",
            why="the guard that rolls back is a systemd service, so that it outlives this process and a reboot",
            next_step="apply without --confirm-within; `remedy rollback` undoes it at any time",
        )


def arm_guard(run_id: str, settings: Settings) -> None:
    """Install and start the guard. It reads the deadline from the journal. Raises CommandError, OSError."""
    arguments = (
        sys.executable,
        "-m",
        "remedy.apply.guard",
        run_id,
        str(settings.state_dir),
        settings.socket,
        settings.daemon_json_path,
    )
    unit = _SERVICE.format(run=run_id, command=" ".join(quoted(word) for word in arguments))
    install_unit(_unit(run_id), unit)


def disarm_guard(run_id: str, *, by_itself: bool = False) -> None:
    """Stop and remove the guard, if it is there. by_itself: it is the guard that calls, and ends anyway.

    Raises CommandError, OSError.
    """
    remove_unit(_unit(run_id), stop=not by_itself)


def remove_guard(run_id: str, progress: Progress, *, by_itself: bool = False) -> None:
    """disarm_guard at the end of a run that is put back: should it fail, the guard finds nothing left to do."""
    try:
        disarm_guard(run_id, by_itself=by_itself)
    except (RemedyError, OSError) as error:
        progress.warn(f"the guard of run {run_id} could not be removed: {error}")


def keep_watch(run_id: str, settings: Settings) -> RunReport | None:
    """What the unit runs: wait for the deadline, then roll back unless the run was confirmed or undone.

    A run that is still at work holds the lock; one that was killed does not, and is rolled back at its deadline.
    """
    while (left := seconds_left(run_named(settings, run_id))) is not None:
        if left > 0:
            time.sleep(min(left, LONGEST_SLEEP_SECONDS))
            continue
        report = _roll_back_if_due(run_id, settings)
        if report is not None:
            return report
    disarm_guard(run_id, by_itself=True)
    return None


def seconds_left(run: Run) -> float | None:
    """Until the deadline; None when there is nothing left to guard."""
    if run.state not in ("open", "pending", "rollback-incomplete") or run.deadline is None:
        return None
    return (run.deadline - utc_now()).total_seconds()


def _roll_back_if_due(run_id: str, settings: Settings) -> RunReport | None:
    """None when the run's process was still at work: its new deadline has to be looked at.

    It writes over foreign changes too (the overwritten file is kept beside the journal): the operator may have
    locked himself out, and nobody is there to ask.
    """
    from remedy.apply.rollback import roll_back_locked

    with host_lock(settings, f"guard of run {run_id}"):
        run = run_named(settings, run_id)
        left = seconds_left(run)
        if left is None or left > 0:
            return None
        return roll_back_locked(
            run, settings=settings, on_event=lambda _: None, command="guard", force=True, why="it was not confirmed"
        )


def _unit(run_id: str) -> str:
    return f"remedy-guard-{run_id}.service"


def main() -> None:
    """Entry of the guard's unit: RUN STATE_DIR SOCKET DAEMON_JSON."""
    run_id, state_dir, socket, daemon_json = sys.argv[1:5]
    settings = Settings(Path(state_dir), socket, daemon_json, lock_timeout_seconds=LOCK_PATIENCE_SECONDS)
    try:
        report = keep_watch(run_id, settings)
    except RemedyError as error:
        sys.exit(f"remedy guard of run {run_id}: {error}")
    if report is not None and report.exit_code:
        sys.stderr.write(f"remedy guard of run {run_id}: {report.message}\n")
        sys.exit(EXIT_NOT_DONE)


if __name__ == "__main__":
    main()
