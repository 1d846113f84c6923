"""Which runs are applied, so that there is something to hold. Read again only when a journal has grown."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from remedy.apply.runs import all_runs
from remedy.apply.settings import Settings
from remedy.plan.actions import INTENT_LABEL, Action, CreateNetwork, WriteRules

State = Literal["nothing applied", "a run waits", "applied"]
Seen = tuple[tuple[str, int], ...]  # each run, with its journal's size


@dataclass(frozen=True, slots=True)
class AppliedRun:
    """A run whose changes are on the host."""

    id: str
    directory: Path
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """waiting: the run that is at work, pending, interrupted or half undone; nothing is held then."""

    runs: tuple[AppliedRun, ...] = ()
    waiting: str | None = None

    @property
    def state(self) -> State:
        """What the watcher may do."""
        if self.waiting is not None:
            return "a run waits"
        return "applied" if self.runs else "nothing applied"

    @property
    def actions(self) -> tuple[Action, ...]:
        """Everything that was applied, the oldest first."""
        return tuple(action for run in self.runs for action in run.actions)

    def run_of(self, action: Action) -> AppliedRun:
        """The run with which this action is undone: the newest that did the same, or wrote rules."""
        for run in reversed(self.runs):
            if any(done.id == action.id for done in run.actions):
                return run
        for run in reversed(self.runs):
            if any(isinstance(done, WriteRules) for done in run.actions):
                return run
        return self.runs[-1]


class AppliedRuns:
    """The runs on this host, as their journals tell."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._seen: Seen | None = None
        self._applied = Applied()

    def read(self) -> Applied:
        """What is applied now. Raises RemedyError (a plan that cannot be read, no permission)."""
        seen = self.latest()
        if seen != self._seen:
            self._applied = self._read()
            self._seen = seen
        return self._applied

    @property
    def seen(self) -> Seen:
        """By what the last read knows them; two that are the same tell of the same runs."""
        return self._seen or ()

    def have_changed(self) -> bool:
        """Whether a run began, went on or ended since the last read."""
        return self.latest() != self._seen

    def latest(self) -> Seen:
        """Each run as it is now: a few system calls."""
        found = []
        try:
            with os.scandir(self._settings.runs_dir) as entries:
                for entry in entries:
                    try:
                        found.append((entry.name, os.stat(f"{entry.path}/journal.jsonl").st_size))  # noqa: PTH116
                    except (FileNotFoundError, NotADirectoryError):
                        continue
        except FileNotFoundError:
            return ()
        return tuple(sorted(found))

    def _read(self) -> Applied:
        runs, waiting = [], None
        for run in all_runs(self._settings):
            if run.state == "applied":
                undo = {action.id: data for action, data in run.to_undo()}
                actions = tuple(_as_done(action, undo.get(action.id, {})) for action in run.plan.actions)
                runs.append(AppliedRun(run.id, run.directory, actions))
            elif run.state in ("open", "pending", "rollback-incomplete"):
                waiting = run.id
        return Applied(tuple(runs), waiting)


def _as_done(action: Action, undo: Mapping[str, object]) -> Action:
    """A network with the label by which its run knows it: one that is made again must be found by the run's undo."""
    if not isinstance(action, CreateNetwork) or "intent" not in undo:
        return action
    return action.model_copy(update={"labels": {**action.labels, INTENT_LABEL: str(undo["intent"])}})
