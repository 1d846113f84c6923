"""What applied runs have put on the host, taken together: pure.

Of two actions that do the same the later one counts, or both where they are about different things.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from remedy.apply.runs import Run
from remedy.apply.written import as_written
from remedy.plan.actions import (
    Action,
    ConnectNetwork,
    RemoveRules,
    SetHairpinMode,
    SetSysctls,
    UntrackInside,
    WriteRules,
)


def standing_actions(runs: Sequence[Run]) -> tuple[Action, ...]:
    """The actions of these runs, the oldest first, without those that a later one has overtaken."""
    standing: dict[str, Action] = {}
    for action in _all(runs):
        key = f"{action.id} {action.network}" if isinstance(action, ConnectNetwork) else action.id
        earlier = standing.pop(key, None)
        for other in _ended_by(action, standing.values()):
            del standing[other.id]
        if isinstance(action, UntrackInside) and not action.untracked:
            _let_go(action, standing)
        standing[key] = action if earlier is None else _together(earlier, action)
    return tuple(standing.values())


def _all(runs: Sequence[Run]) -> Iterator[Action]:
    for run in runs:
        undo = {action.id: data for action, data in run.to_undo()}
        for action in run.plan.actions:
            yield as_written(action, undo.get(action.id, {}))


def _ended_by(action: Action, standing: Iterable[Action]) -> list[WriteRules]:
    if not isinstance(action, RemoveRules):
        return []
    written = (other for other in standing if isinstance(other, WriteRules))
    return [other for other in written if other.ruleset.name == action.ruleset.name]


def _let_go(action: UntrackInside, standing: dict[str, Action]) -> None:
    kept = standing.get("untrack_inside")
    if isinstance(kept, UntrackInside):
        names = {member.container for member in action.members}
        left = tuple(member for member in kept.members if member.container not in names)
        standing[kept.id] = kept.model_copy(update={"members": left})


def _together(earlier: Action, later: Action) -> Action:
    """Both where they are about different things: the later one's word on what both are about."""
    if isinstance(earlier, SetSysctls) and isinstance(later, SetSysctls):
        return later.model_copy(update={"values": {**earlier.values, **later.values}})
    if isinstance(earlier, SetHairpinMode) and isinstance(later, SetHairpinMode):
        ports = {port.interface: port for port in (*earlier.ports, *later.ports)}
        bridges = dict.fromkeys((*earlier.bridges, *later.bridges))
        return later.model_copy(update={"ports": tuple(ports.values()), "bridges": tuple(bridges)})
    if isinstance(earlier, ConnectNetwork) and isinstance(later, ConnectNetwork):
        networked = {member.container: member for member in (*earlier.members, *later.members)}
        return later.model_copy(update={"members": tuple(networked.values())})
    if isinstance(earlier, UntrackInside) and isinstance(later, UntrackInside):
        inside = {member.container: member for member in (*earlier.members, *later.members)}
        return later.model_copy(update={"members": tuple(inside.values())})
    return later
