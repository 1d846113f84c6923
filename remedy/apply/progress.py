"""Telling people and the system journal what goes on, and never failing because nobody listens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from remedy.apply.model import ActionReport, ActionState, Event
from remedy.apply.system_journal import open_system_journal
from remedy.plan.actions import Action

OnEvent = Callable[[Event], None]


class Progress:
    """Collects what became of each action, and passes events on.

    A closed terminal must not stop a run half way: whatever the listener raises of the OS is dropped.
    """

    def __init__(self, run: str, on_event: OnEvent) -> None:
        self._run = run
        self._on_event = on_event
        self._log = open_system_journal()
        self._reports: dict[str, ActionReport] = {}

    @property
    def reports(self) -> tuple[ActionReport, ...]:
        """What became of each action that was begun, in order."""
        return tuple(self._reports.values())

    def phase(self, text: str) -> None:
        """A new part of the run begins."""
        self._send(Event(kind="phase", text=text))

    def note(self, text: str) -> None:
        """Something worth knowing."""
        self._send(Event(kind="note", text=text))

    def warn(self, text: str) -> None:
        """Something that should be looked at."""
        self._log.warning("run %s: %s", self._run, text)
        self._send(Event(kind="warning", text=text))

    def plan(self, actions: tuple[Action, ...]) -> None:
        """All actions that are going to be done."""
        for action in actions:
            self._reports[action.id] = _report(action, "planned")

    @contextmanager
    def step(self, action: Action, *, reverting: bool = False) -> Iterator[None]:
        """One action, timed and told; an exception marks it as failed and goes on."""
        self._tell(action, "reverting" if reverting else "started")
        began = time.monotonic()
        try:
            yield
        except Exception as error:
            state: ActionState = "revert-failed" if reverting else "failed"
            self._tell(action, state, time.monotonic() - began, str(error))
            raise
        self._tell(action, "reverted" if reverting else "done", time.monotonic() - began)

    def made_good(self, action: Action) -> None:
        """What failed in this action is done all the same, by another one."""
        self._reports[action.id] = _report(action, "reverted")

    def _tell(self, action: Action, state: ActionState, seconds: float | None = None, error: str | None = None) -> None:
        self._reports[action.id] = _report(action, state, seconds, error)
        took = "" if seconds is None else f" ({seconds:.2f} s)"
        self._log.info("run %s: %s: %s%s%s", self._run, state, action.summary, took, f": {error}" if error else "")
        self._send(Event(kind="action", text=action.summary, action_id=action.id, state=state, seconds=seconds))

    def _send(self, event: Event) -> None:
        with suppress(OSError):
            self._on_event(event)


def _report(action: Action, state: ActionState, seconds: float | None = None, error: str | None = None) -> ActionReport:
    return ActionReport(
        id=action.id,
        kind=action.kind,
        summary=action.summary,
        state=state,
        seconds=None if seconds is None else round(seconds, 3),
        error=error,
    )
