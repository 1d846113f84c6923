"""The runs that this host has seen: each a directory with its plan and its journal."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from remedy.actions.owned_rules import OwnedRules
from remedy.apply.followed import Followed, joined_undo, read_followed, with_followed
from remedy.apply.journal import Journal, Record, read_journal
from remedy.apply.model import RunOutcome
from remedy.apply.settings import Settings
from remedy.errors import InputError, PermissionNeededError
from remedy.host.files import make_private_directory
from remedy.plan.actions import Action
from remedy.plan.model import Plan
from remedy.plan.plan_file import load_plan, save_plan

RunState = Literal["open", "pending", "applied", "rolled-back", "rollback-incomplete", "failed"]

# Events that end a run's apply, and what they leave it in.
_STATE_AFTER: dict[str, RunState] = {
    "started": "open",
    "committed": "applied",
    "pending": "pending",
    "confirmed": "applied",
    "rolled-back": "rolled-back",
    "rollback-incomplete": "rollback-incomplete",
    "failed": "failed",
    "reverting": "open",
}


@dataclass(frozen=True, slots=True)
class Run:
    """One run as its journal tells it."""

    id: str
    directory: Path
    records: tuple[Record, ...]

    @property
    def plan(self) -> Plan:
        """The plan that was applied. Raises InputError."""
        return load_plan(self.directory / "plan.json")

    @property
    def followed(self) -> Followed:
        """What the watcher did for it since. Raises InputError."""
        return read_followed(self.directory)

    @property
    def actions(self) -> tuple[Action, ...]:
        """The plan's actions with what the watcher did since, in the order of doing. Raises InputError."""
        return with_followed(self.plan.actions, self.followed)

    @property
    def owned_rules(self) -> OwnedRules:
        """The rulesets as they were written last on this host, by a run or by the watcher."""
        return OwnedRules(self.directory.parent.parent / "rules")

    @property
    def state(self) -> RunState:
        """Where the run stands; `open` is at work, or interrupted when no process holds the lock."""
        state: RunState = "failed"
        for record in self.records:
            state = _STATE_AFTER.get(record.event, state)
        return state

    @property
    def started(self) -> datetime | None:
        """When it began."""
        return self.records[0].time if self.records else None

    @property
    def deadline(self) -> datetime | None:
        """Until when it must be confirmed."""
        for record in reversed(self.records):
            if record.event in ("pending", "armed"):
                return datetime.fromisoformat(record.data["deadline"])
        return None

    def last(self, *events: str) -> Record | None:
        """The newest record of one of these events."""
        return next((record for record in reversed(self.records) if record.event in events), None)

    @property
    def begun_ids(self) -> frozenset[str]:
        """The actions that were ever begun, reverted or not."""
        return frozenset(r.action for r in self.records if r.event == "intent" and r.action is not None)

    def to_undo(self) -> tuple[tuple[Action, dict[str, object]], ...]:
        """The actions that were begun and are not reverted, newest first, each with its undo data."""
        followed = self.followed
        planned = self.plan.actions
        actions = {action.id: action for action in with_followed(planned, followed)}
        ids = {action.id for action in planned}
        begun = {item.action.id: dict(item.undo) for item in followed.actions if item.action.id not in ids}
        for record in self.records:
            if record.event == "intent" and record.action in actions:
                undo = joined_undo(record.data.get("undo", {}), followed, record.action)
                begun.setdefault(record.action, undo)
            elif record.event == "reverted" and record.action is not None:
                begun.pop(record.action, None)
        return tuple((actions[action], undo) for action, undo in reversed(begun.items()))

    def journal(self) -> Journal:
        """Its journal, for appending."""
        return Journal(self.directory / "journal.jsonl")


def new_run(settings: Settings, plan: Plan, now: datetime) -> tuple[str, Journal]:
    """Make a run's directory with its plan, and its journal. Raises OSError (disk full), leaving nothing behind."""
    make_private_directory(settings.state_dir)
    make_private_directory(settings.runs_dir)
    run_id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    directory = settings.runs_dir / run_id
    make_private_directory(directory)
    try:
        save_plan(plan, directory / "plan.json")
        return run_id, Journal.create(directory)
    except OSError:
        for left in directory.iterdir():
            left.unlink(missing_ok=True)
        directory.rmdir()
        raise


def all_runs(settings: Settings) -> tuple[Run, ...]:
    """Every run, oldest first. Raises PermissionNeededError: that none can be seen does not mean that there is none."""
    try:
        directories = sorted(path for path in settings.runs_dir.iterdir() if path.is_dir())
    except FileNotFoundError:
        return ()
    except PermissionError as error:
        raise PermissionNeededError(
            "the runs on this host may not be read",
            where=str(settings.runs_dir),
            why="they are open to root only",
            next_step="run remedy as root",
        ) from error
    runs = (Run(d.name, d, read_journal(d / "journal.jsonl")) for d in directories)
    return tuple(sorted((run for run in runs if run.records), key=lambda run: run.records[0].time))


def run_named(settings: Settings, name: str) -> Run:
    """The run of this id. Raises InputError."""
    for run in all_runs(settings):
        if run.id == name:
            return run
    raise InputError(f"there is no run {name!r}", where=str(settings.runs_dir), next_step="remedy history")


def active_run(settings: Settings) -> Run | None:
    """The newest run whose changes are (partly) on the host: open, pending, applied or half undone."""
    for run in reversed(all_runs(settings)):
        if run.state in ("open", "pending", "applied", "rollback-incomplete"):
            return run
    return None


def outcome_of(run: Run) -> RunOutcome:
    """How a run ended, for history."""
    outcomes: dict[RunState, RunOutcome] = {
        "open": "running",
        "pending": "pending",
        "applied": "applied",
        "rolled-back": "rolled-back",
        "rollback-incomplete": "rollback-incomplete",
        "failed": "failed",
    }
    return outcomes[run.state]
