"""Undoing the begun actions of a run, newest first; shared by apply, rollback and the guard."""

from __future__ import annotations

from dataclasses import dataclass

from remedy.actions.context import ActionContext
from remedy.actions.registry import executor_for
from remedy.apply.by_hand import commands_by_hand
from remedy.apply.journal import Journal
from remedy.apply.progress import Progress
from remedy.apply.refresh import refreshed_run
from remedy.apply.runs import Run
from remedy.errors import RemedyError
from remedy.facts.model import HostFacts
from remedy.plan.model import Action

ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Undone:
    """What came of it: the actions that could not be reverted, why, and the commands that do it by hand."""

    failed: tuple[tuple[Action, str], ...] = ()

    @property
    def is_complete(self) -> bool:
        """Everything was put back."""
        return not self.failed

    @property
    def leftover(self) -> tuple[str, ...]:
        """Shell commands that finish the job."""
        return tuple(command for action, _ in self.failed for command in commands_by_hand(action))


def undo_actions(
    begun: tuple[tuple[Action, dict[str, object]], ...],
    context: ActionContext,
    journal: Journal,
    progress: Progress,
) -> Undone:
    """Revert each action, in the given order (newest first), and go on past one that fails.

    Each is tried twice, because a firewall or engine that is busy is not one that is broken.
    """
    failed: list[tuple[Action, str]] = []
    for action, undo in begun:
        _record(journal, "reverting", action)
        error = _revert(action, undo, context, progress)
        if error is None:
            _record(journal, "reverted", action)
        else:
            _record(journal, "revert-failed", action, error)
            failed.append((action, error))
    return Undone(tuple(failed))


def _record(journal: Journal, event: str, action: Action, error: str | None = None) -> None:
    """Journal an undo step. A full disk must not keep the host from being put back: revert is idempotent."""
    try:
        journal.write(event, action.id, **({} if error is None else {"error": error}))
    except OSError:
        return


def _revert(action: Action, undo: dict[str, object], context: ActionContext, progress: Progress) -> str | None:
    """Why it failed; None when it did not."""
    error = ""
    for _ in range(ATTEMPTS):
        try:
            with progress.step(action, reverting=True):
                executor_for(action, context).revert(undo)
        except (RemedyError, OSError, ValueError) as caught:
            error = str(caught)
        else:
            return None
    return error


def undo_run(run: Run, facts: HostFacts | None, context: ActionContext, journal: Journal, progress: Progress) -> Undone:
    """Undo what a run has begun, on the host as `facts` show it (None: the engine does not answer)."""
    return undo_actions(refreshed_run(run.to_undo(), run.plan.actions, facts), context, journal, progress)
