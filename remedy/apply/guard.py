"""The guard of `--confirm-within`: a systemd timer that rolls back unless the run is confirmed in time.

It is no child of the terminal: unit files on disk, enabled, so that it outlives the SSH connection, a kill -9 of
remedy and a reboot (a timer that was missed while the host was down fires at boot: Persistent=true). It is armed
before the first change and removed by confirm and rollback.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path

from remedy.apply.journal import utc_now
from remedy.apply.lock import host_lock
from remedy.apply.runs import Run, run_named
from remedy.apply.settings import Settings
from remedy.errors import LockHeldError, RefusedError, RemedyError
from remedy.host.commands import run_command
from remedy.host.files import remove_durably, write_atomically

UNIT_DIRECTORY = Path("/etc/systemd/system")
SYSTEMD_IS_INIT = Path("/run/systemd/system")
LOCK_PATIENCE_SECONDS = 600.0

_SERVICE = """\
[Unit]
Description=remedy: roll back run {run} unless it was confirmed
After=docker.service

[Service]
Type=oneshot
ExecStart={command}
"""

_TIMER = """\
[Unit]
Description=remedy: deadline of run {run}

[Timer]
OnCalendar={deadline}
AccuracySec=50ms
Persistent=true

[Install]
WantedBy=timers.target
"""


def check_guard_possible() -> None:
    """Raises RefusedError where systemd is not the init."""
    if not SYSTEMD_IS_INIT.is_dir():
        raise RefusedError(
            "--confirm-within needs systemd",
            why="the guard that rolls back is a systemd timer, so that it outlives this process and a reboot",
            next_step="apply without --confirm-within; `remedy rollback` undoes it at any time",
        )


def arm_guard(run_id: str, deadline: datetime, settings: Settings) -> None:
    """Install and start the timer. Raises CommandError, OSError."""
    arguments = (
        sys.executable,
        "-m",
        "remedy.apply.guard",
        run_id,
        str(settings.state_dir),
        settings.socket,
        settings.daemon_json_path,
    )
    service = _SERVICE.format(run=run_id, command=" ".join(_quoted(word) for word in arguments))
    timer = _TIMER.format(run=run_id, deadline=f"{deadline:%Y-%m-%d %H:%M:%S} UTC")
    write_atomically(_unit(run_id, "service"), service.encode(), mode=0o644)
    write_atomically(_unit(run_id, "timer"), timer.encode(), mode=0o644)
    run_command(["systemctl", "daemon-reload"])
    run_command(["systemctl", "enable", "--now", _unit(run_id, "timer").name])


def disarm_guard(run_id: str) -> None:
    """Stop and remove the timer, if it is there. Raises CommandError, OSError."""
    timer, service = _unit(run_id, "timer"), _unit(run_id, "service")
    if not timer.exists() and not service.exists():
        return
    run_command(["systemctl", "disable", "--now", timer.name], check=False)
    remove_durably(timer)
    remove_durably(service)
    # The time stamp that a persistent timer keeps.
    remove_durably(Path("/var/lib/systemd/timers") / f"stamp-{timer.name}")
    run_command(["systemctl", "daemon-reload"])
    run_command(["systemctl", "reset-failed", service.name], check=False)


def keep_watch(run_id: str, settings: Settings) -> None:
    """What the timer starts: wait for the run's process and its deadline, then roll back unless confirmed.

    A run that is still at work holds the lock; one that was killed does not, and is rolled back at its deadline.
    """
    while (wait := _seconds_left(run_named(settings, run_id))) is not None:
        if wait > 0:
            time.sleep(wait)
            continue
        if _roll_back_if_due(run_id, settings):
            return
    disarm_guard(run_id)


def _seconds_left(run: Run) -> float | None:
    """Until the deadline; None when there is nothing left to guard."""
    if run.state not in ("open", "pending", "rollback-incomplete") or run.deadline is None:
        return None
    return (run.deadline - utc_now()).total_seconds()


def _roll_back_if_due(run_id: str, settings: Settings) -> bool:
    """False when the run's process was still at work: its new deadline has to be looked at."""
    from remedy.apply.rollback import roll_back_locked

    with host_lock(settings, f"guard of run {run_id}"):
        run = run_named(settings, run_id)
        left = _seconds_left(run)
        if left is None or left > 0:
            return False
        roll_back_locked(run, settings=settings, on_event=lambda _: None, command="guard", why="it was not confirmed")
        return True


def _unit(run_id: str, kind: str) -> Path:
    return UNIT_DIRECTORY / f"remedy-guard-{run_id}.{kind}"


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def main() -> None:
    """Entry of the guard's unit: RUN STATE_DIR SOCKET DAEMON_JSON."""
    run_id, state_dir, socket, daemon_json = sys.argv[1:5]
    settings = Settings(Path(state_dir), socket, daemon_json, lock_timeout_seconds=LOCK_PATIENCE_SECONDS)
    try:
        keep_watch(run_id, settings)
    except (RemedyError, LockHeldError) as error:
        sys.exit(f"remedy guard of run {run_id}: {error}")


if __name__ == "__main__":
    main()
