"""What a run of apply or rollback reports: events while it goes on, and its result at the end."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from remedy.frozen import Frozen
from remedy.paths.tracked import Tracked
from remedy.paths.untracked import OwnTableReport, UntrackedTraffic

RunOutcome = Literal[
    "running",
    "interrupted",  # its process died
    "applied",
    "nothing",
    "pending",  # applied, waits for `remedy confirm`
    "rolled-back",  # verification failed, or the guard fired, or the operator asked
    "interrupted-rolled-back",  # ^C or SIGTERM
    "rollback-incomplete",
    "failed",  # nothing was changed
]
ActionState = Literal["planned", "started", "done", "reverting", "reverted", "failed", "revert-failed"]


class Event(Frozen):
    """One line of progress. kind: phase (of the run), action, note, warning."""

    kind: Literal["phase", "action", "note", "warning"]
    text: str
    action_id: str | None = None
    state: ActionState | None = None
    seconds: float | None = None


class ActionReport(Frozen):
    """What became of one action."""

    id: str
    kind: str
    summary: str
    state: ActionState
    seconds: float | None = None
    error: str | None = None


class ProbeReport(Frozen):
    """One probed connection. before/after: did it work; None: not tried. detail says what was seen."""

    from_: str = Field(alias="from")
    to: str
    http: str | None = None
    before: bool | None
    after: bool | None
    before_detail: str = ""
    after_detail: str = ""
    milliseconds_before: float | None = None
    milliseconds_after: float | None = None

    model_config = ConfigDict(populate_by_name=True)

    @property
    def regressed(self) -> bool:
        """It worked before and does not any more."""
        return self.before is True and self.after is False


class RunReport(Frozen):
    """How a run ended. leftover: shell commands that finish the job by hand (exit 4)."""

    run: str
    command: Literal["apply", "rollback", "guard"]
    result: RunOutcome
    exit_code: int
    actions: tuple[ActionReport, ...] = ()
    probes: tuple[ProbeReport, ...] = ()
    message: str = ""
    warnings: tuple[str, ...] = ()
    deadline: datetime | None = None
    leftover: tuple[str, ...] = ()
    log: str | None = None  # path of the run's journal


class Drift(Frozen):
    """One way in which the host differs from what the last run left (or the spec wants)."""

    what: str
    where: str
    expected: str
    found: str
    next_step: str


class StatusReport(Frozen):
    """remedy status. state: clean (nothing applied), applied, pending, interrupted."""

    state: Literal["clean", "applied", "pending", "interrupted"]
    run: str | None
    since: datetime | None
    deadline: datetime | None
    drift: tuple[Drift, ...]
    docker_proxy_processes: int
    docker_proxy_connections: int
    userland_proxy: bool | None
    engine_version: str
    untracked: tuple[UntrackedTraffic, ...] = ()
    own_tables: tuple[OwnTableReport, ...] = ()
    next_step: str = ""
    conntrack: Tracked | None = None
    watcher: str | None = None  # state of remedy-watch.service; None: not installed


class HistoryEntry(Frozen):
    """A line of remedy history: a run, or one transaction of the watcher's (then run is its id, of_run whose it is)."""

    run: str
    command: Literal["apply", "rollback", "guard", "watch"]
    started: datetime
    ended: datetime | None
    result: RunOutcome
    actions: int
    summary: str
    rolled_back_by: str | None = None
    of_run: str | None = None


class HistoryReport(Frozen):
    """remedy history, newest first."""

    runs: tuple[HistoryEntry, ...]
