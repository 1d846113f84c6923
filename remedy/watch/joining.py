"""Networks made and joined for containers that were made again: by the process apart, as the engine takes its time.

A busy one needs seconds for it, in which rules of the dead must go; and what talks to it is a third of the watcher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from remedy.actions.context import ActionContext
from remedy.actions.engine_networks import engine_networks
from remedy.actions.registry import executor_for
from remedy.apply.followed import Present, record_followed
from remedy.apply.settings import Settings
from remedy.errors import RemedyError
from remedy.plan.actions import ConnectNetwork, CreateNetwork

ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Join:
    """One action, the directory of the run with which it is undone, and what was on the host when it was decided."""

    action: CreateNetwork | ConnectNetwork
    directory: Path
    present: Present


def join(settings: Settings, joins: Sequence[Join]) -> tuple[str, ...]:
    """Do each, recorded for its run before. Return the names of who has joined. Raises RemedyError, OSError."""
    context = ActionContext.for_host(settings.socket, settings.state_dir)
    return tuple(name for one in joins for name in _join(one, one.action, context))


def _join(join: Join, action: CreateNetwork | ConnectNetwork, context: ActionContext) -> tuple[str, ...]:
    """Who ends meanwhile is no reason to leave the others out."""
    for _ in range(ATTEMPTS):
        try:
            executor = executor_for(action, context)
            record_followed(join.directory, action, executor.undo_data(), join.present)
            executor.apply()
        except RemedyError:
            if not isinstance(action, ConnectNetwork):
                raise
            left = _that_run(action, context)
            if left == action:
                raise
            action = left
        else:
            break
    return tuple(member.container for member in action.members) if isinstance(action, ConnectNetwork) else ()


def _that_run(action: ConnectNetwork, context: ActionContext) -> ConnectNetwork:
    """The same with the members that still run."""
    with engine_networks(context.engine.socket) as networks:
        found = {member.container_id: networks.container(member.container_id) for member in action.members}
    running = {identity for identity, container in found.items() if container and container["State"]["Pid"]}
    return action.model_copy(
        update={"members": tuple(member for member in action.members if member.container_id in running)}
    )
