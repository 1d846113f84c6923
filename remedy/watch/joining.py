"""What is done for containers that were made again by the engine's help: by the process apart, as it takes its time.

Networks are made and joined, and containers' own conntrack tables are kept empty. A busy engine needs seconds for it,
in which rules of the dead must go; and the docker SDK stays out of the watcher.
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
from remedy.plan.actions import ConnectNetwork
from remedy.watch.rule_changes import DoneApart

ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Join:
    """One action, the directory of the run with which it is undone, and what was on the host when it was decided."""

    action: DoneApart
    directory: Path
    present: Present


def join(settings: Settings, joins: Sequence[Join]) -> tuple[str, ...]:
    """Do each, recorded for its run before. Return a sentence for each that is done. Raises RemedyError, OSError."""
    context = ActionContext.for_host(settings.socket, settings.state_dir)
    return tuple(sentence for one in joins if (sentence := _join(one, context)))


def _join(join: Join, context: ActionContext) -> str:
    """Who ends meanwhile is no reason to leave the others out. "" where nobody is left."""
    action, is_recorded = join.action, False
    for attempt in range(1, ATTEMPTS + 1):
        try:
            executor = executor_for(action, context)
            if not is_recorded:  # later it would take those who have joined for members from before
                record_followed(join.directory, action, executor.undo_data(), join.present)
                is_recorded = True
            executor.apply()
        except RemedyError:
            left = _that_run(action, context) if isinstance(action, ConnectNetwork) else action
            if left == action or attempt == ATTEMPTS:
                raise
            action = left
        else:
            break
    return _told(join.action, action)


def _told(planned: DoneApart, done: DoneApart) -> str:
    if done == planned or not isinstance(done, ConnectNetwork):
        return planned.summary
    names = ", ".join(member.container for member in done.members)
    return f"connect {names} to {done.network}" if names else ""


def _that_run(action: ConnectNetwork, context: ActionContext) -> ConnectNetwork:
    """The same with the members that still run."""
    with engine_networks(context.engine.socket) as networks:
        found = {member.container_id: networks.container(member.container_id) for member in action.members}
    running = {identity for identity, container in found.items() if container and container["State"]["Pid"]}
    return action.model_copy(
        update={"members": tuple(member for member in action.members if member.container_id in running)}
    )
