"""Undoing the begun actions of a run, newest first; shared by apply, rollback and the guard."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from remedy.actions.context import ActionContext
from remedy.actions.registry import executor_for
from remedy.apply.by_hand import commands_by_hand
from remedy.apply.journal import Journal
from remedy.apply.progress import Progress
from remedy.apply.refresh import Begun, refreshed_run
from remedy.apply.runs import Run
from remedy.facts.model import HostFacts
from remedy.plan.actions import (
    Action,
    ConnectNetwork,
    CreateNetwork,
    HoldLiveRestore,
    ReleaseLiveRestore,
    RemoveRules,
    RewireHaproxy,
    SwitchUserlandProxy,
    WriteRules,
)

ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Failure:
    """An action that could not be reverted, with its undo data, and why."""

    action: Action
    undo: dict[str, object]
    why: str


@dataclass(frozen=True, slots=True)
class Undone:
    """What came of it: the actions that could not be reverted, in the order in which they have to be."""

    failed: tuple[Failure, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Everything was put back."""
        return not self.failed

    @property
    def leftover(self) -> tuple[str, ...]:
        """Shell commands that finish the job."""
        return tuple(line for failure in self.failed for line in commands_by_hand(failure.action, failure.undo))

    @property
    def why(self) -> str:
        """Each action with its reason."""
        return "; ".join(f"{failure.action.summary}: {failure.why}" for failure in self.failed)


def undo_actions(begun: Begun, context: ActionContext, journal: Journal, progress: Progress) -> Undone:
    """Revert each action, in the given order (newest first), and go on past one that fails.

    But not past a restart of the engine that fails: what comes after it takes away the rules that carry the traffic
    meanwhile, and live-restore, which the next try needs again. And haproxy's network stays while haproxy uses it.
    """
    failed: list[Failure] = []
    reverted: list[Action] = []
    for position, (action, undo) in enumerate(begun):
        needed = _needed_by(action, failed)
        if needed is not None:
            failed.append(Failure(action, undo, f"comes after: {needed.summary}"))
            continue
        _record(journal, "reverting", action)
        error = _revert(action, undo, context, progress)
        if error is None:
            _record(journal, "reverted", action)
            reverted.append(action)
            continue
        _record(journal, "revert-failed", action, error)
        failed.append(Failure(action, undo, error))
        if isinstance(action, SwitchUserlandProxy):
            waiting = f"comes after: {action.summary}"
            failed += [Failure(later, its_undo, waiting) for later, its_undo in begun[position + 1 :]]
            break
    return Undone(tuple(_still_failed(failed, reverted, journal, progress)))


def _needed_by(action: Action, failed: Collection[Failure]) -> Action | None:
    """A haproxy that could not be led back, whose servers are still on the network that the action made or joined."""
    network = action.network if isinstance(action, ConnectNetwork) else None
    network = action.name if isinstance(action, CreateNetwork) else network
    led = (failure.action for failure in failed if isinstance(failure.action, RewireHaproxy))
    return next((other for other in led if other.network == network), None)


def undo_run(run: Run, facts: HostFacts | None, context: ActionContext, journal: Journal, progress: Progress) -> Undone:
    """Undo what a run has begun, on the host as `facts` show it (None: the engine does not answer)."""
    return undo_actions(refreshed_run(to_undo(run, facts), run.plan.actions, facts), context, journal, progress)


def to_undo(run: Run, facts: HostFacts | None) -> Begun:
    """What a run has begun, and the switch that a reboot has made of a held live-restore.

    daemon.json says userland-proxy false while live-restore is held (see plan.userland_proxy). Killed there, a run has
    not begun the switch; but an engine that starts now, at boot, comes up switched.
    """
    begun = {action.id: undo for action, undo in run.to_undo()}
    planned = run.actions
    is_held = any(isinstance(action, HoldLiveRestore) and action.id in begun for action in planned)
    switches = [action for action in planned if isinstance(action, SwitchUserlandProxy)]
    for switch in switches if is_held else ():
        is_made = facts is None or facts.engine.userland_proxy is switch.target
        if is_made and switch.id not in run.begun_ids:
            begun[switch.id] = {}
    return tuple((action, begun[action.id]) for action in reversed(planned) if action.id in begun)


def _still_failed(
    failed: Collection[Failure], reverted: Collection[Action], journal: Journal, progress: Progress
) -> list[Failure]:
    """Without those whose work is done all the same.

    Reverting a release only prepares the restart, and is taken back by reverting the hold; writing removed bridging
    rules again likewise.
    """
    kept = []
    for failure in failed:
        if _is_made_good(failure.action, reverted):
            _record(journal, "reverted", failure.action)
            progress.made_good(failure.action)
        else:
            kept.append(failure)
    return kept


def _is_made_good(action: Action, reverted: Collection[Action]) -> bool:
    if isinstance(action, ReleaseLiveRestore):
        return any(isinstance(other, HoldLiveRestore) for other in reverted)
    if isinstance(action, RemoveRules):
        return any(isinstance(other, WriteRules) and other.ruleset.name == action.ruleset.name for other in reverted)
    return False


def _record(journal: Journal, event: str, action: Action, error: str | None = None) -> None:
    """Journal an undo step. A full disk must not keep the host from being put back: revert is idempotent."""
    try:
        journal.write(event, action.id, **({} if error is None else {"error": error}))
    except OSError:
        return


def _revert(action: Action, undo: dict[str, object], context: ActionContext, progress: Progress) -> str | None:
    """Why it failed; None when it did not.

    Twice, because a firewall or engine that is busy is not one that is broken. Whatever is raised, the other actions
    have to be reverted too.
    """
    error = ""
    for _ in range(ATTEMPTS):
        try:
            with progress.step(action, reverting=True):
                executor_for(action, context).revert(undo)
        except Exception as caught:
            error = str(caught) or type(caught).__name__
        else:
            return None
    return error
