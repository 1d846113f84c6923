"""What the watcher did for a run since it was applied, as far as its undo has to know.

Rules need no mention: they are removed by name, whatever stands in them. A bridge that came later, its ports, and a
container that joined in another one's place do. Beside the run's journal, and small however long the watcher works:
what is not on the host any more is left out when it is written again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from remedy.errors import InputError
from remedy.facts.model import HostFacts
from remedy.frozen import Frozen
from remedy.host.files import write_atomically
from remedy.plan.actions import (
    Action,
    ConnectNetwork,
    HairpinPort,
    NetworkMember,
    SetHairpinMode,
    SetSysctls,
    UntrackInside,
)

FILE = "followed.json"
OfMembers = ConnectNetwork | UntrackInside


class FollowedAction(Frozen):
    """One action, all that was done of its kind put together, with its undo data."""

    action: Action
    undo: dict[str, Any] = Field(default_factory=dict)


class Followed(Frozen):
    """Everything that was done for one run."""

    actions: tuple[FollowedAction, ...] = ()


@dataclass(frozen=True, slots=True)
class Present:
    """What is on the host now: of anything else nothing has to be remembered."""

    interfaces: frozenset[str]
    bridges: frozenset[str]
    container_ids: frozenset[str]

    @classmethod
    def of(cls, facts: HostFacts) -> Present:
        """The bridges' ports, the bridges, and the containers."""
        return cls(
            frozenset(port.interface for port in facts.bridge_ports),
            frozenset((*(port.bridge for port in facts.bridge_ports), *(n.bridge for n in facts.networks if n.bridge))),
            frozenset(container.id for container in facts.containers),
        )


def read_followed(directory: Path) -> Followed:
    """What was done for the run in this directory. Raises InputError for a file that cannot be read."""
    path = directory / FILE
    try:
        return Followed.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Followed()
    except ValidationError as error:
        raise InputError(
            "what the watcher did for this run cannot be read",
            where=str(path),
            why=f"{error.error_count()} values are not as this version of remedy writes them",
            next_step="use the version that wrote it, or move the file away: its containers are then left as they are",
        ) from error


def record_followed(directory: Path, action: Action, undo: Mapping[str, Any], present: Present) -> None:
    """Remember an action before it is done. Raises OSError (disk full), InputError."""
    if not isinstance(action, SetSysctls | SetHairpinMode | ConnectNetwork | UntrackInside):
        return
    known = {item.action.id: item for item in read_followed(directory).actions}
    earlier = known.get(action.id)
    new = FollowedAction(action=action, undo=dict(undo))
    known[action.id] = new if earlier is None else _pruned(_joined(earlier, new), present)
    written = Followed(actions=tuple(known.values()))
    write_atomically(directory / FILE, written.model_dump_json().encode(), mode=0o600)


def with_followed(planned: Sequence[Action], followed: Followed) -> tuple[Action, ...]:
    """The run's actions as they stand on the host. What the plan had no need of comes first, so it is undone last."""
    known = {item.action.id: item for item in followed.actions}
    ids = {action.id for action in planned}
    return (
        *(item.action for item in followed.actions if item.action.id not in ids),
        *(
            _joined(FollowedAction(action=action), known[action.id]).action if action.id in known else action
            for action in planned
        ),
    )


def joined_undo(undo: Mapping[str, Any], followed: Followed, action_id: str) -> dict[str, Any]:
    """The undo data of a run's action, with that of what was followed."""
    item = next((item for item in followed.actions if item.action.id == action_id), None)
    if item is None:
        return dict(undo)
    if isinstance(item.action, UntrackInside):
        return {"present": _present_before(undo, item, item.action)}
    return {key: _both(undo.get(key), item.undo.get(key)) for key in undo.keys() | item.undo.keys()}


def _present_before(undo: Mapping[str, Any], later: FollowedAction, action: UntrackInside) -> list[str]:
    """Who was as wished before: by the newest word on each. One that has started again has a new namespace."""
    again = {member.container_id for member in action.members}
    return [*(i for i in undo.get("present") or () if i not in again), *(later.undo.get("present") or ())]


def _both(first: Any, second: Any) -> Any:
    """Lists one after the other, mappings merged, the first where they are neither."""
    if isinstance(first, list) and isinstance(second, list):
        return list(dict.fromkeys([*first, *second]))
    if isinstance(first, dict) and isinstance(second, dict):
        return {**second, **first}
    return second if first is None else first


def _joined(first: FollowedAction, second: FollowedAction) -> FollowedAction:
    """One action that undoes both. Of a different kind (which no plan makes): the first."""
    undo = joined_undo(first.undo, Followed(actions=(second,)), second.action.id)
    action, later = first.action, second.action
    if isinstance(action, SetSysctls) and isinstance(later, SetSysctls):
        update: dict[str, Any] = {
            "values": {**later.values, **action.values},
            "previous": {**later.previous, **action.previous},
        }
    elif isinstance(action, SetHairpinMode) and isinstance(later, SetHairpinMode):
        update = {"bridges": _each_once(action.bridges, later.bridges), "ports": _ports(action.ports, later.ports)}
    elif isinstance(action, ConnectNetwork) and isinstance(later, ConnectNetwork):
        update = {"members": _members(action.members, later.members)}
    elif isinstance(action, UntrackInside) and isinstance(later, UntrackInside):
        by_id = {member.container_id: member for member in (*action.members, *later.members)}
        update = {"members": tuple(by_id.values())}
    else:
        return first
    return FollowedAction(action=action.model_copy(update=update), undo=undo)


def _each_once(first: Iterable[str], second: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _ports(first: Sequence[HairpinPort], second: Sequence[HairpinPort]) -> tuple[HairpinPort, ...]:
    known = {port.interface for port in first}
    return (*first, *(port for port in second if port.interface not in known))


def _members(first: Sequence[NetworkMember], second: Sequence[NetworkMember]) -> tuple[NetworkMember, ...]:
    """One that was made again takes the place of its namesake, which is gone."""
    again = {member.container for member in second}
    return (*(member for member in first if member.container not in again), *second)


def _pruned(item: FollowedAction, present: Present) -> FollowedAction:
    """Without what is not on the host any more; it would only make the file grow."""
    action = item.action
    if isinstance(action, SetHairpinMode):
        return item.model_copy(
            update={
                "action": action.model_copy(
                    update={
                        "ports": tuple(port for port in action.ports if port.interface in present.interfaces),
                        "bridges": tuple(bridge for bridge in action.bridges if bridge in present.bridges),
                    }
                )
            }
        )
    if isinstance(action, OfMembers):
        return _with_members_of(item, action, present.container_ids)
    return item


def _with_members_of(item: FollowedAction, action: OfMembers, ids: Collection[str]) -> FollowedAction:
    members = tuple(member for member in action.members if member.container_id in ids)
    files = {key: value for key, value in (item.undo.get("files") or {}).items() if key in ids}
    present = [key for key in item.undo.get("present") or () if key in ids]
    return FollowedAction(
        action=action.model_copy(update={"members": members}), undo={**item.undo, "files": files, "present": present}
    )
