"""UntrackInside: remedy's rules in containers' own network namespaces, found by the containers' processes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from remedy.actions.context import ActionContext
from remedy.actions.engine_networks import EngineNetworks, engine_networks
from remedy.errors import EngineError
from remedy.facts.model import FirewallBackend
from remedy.facts.own_tables import read_own_table
from remedy.firewall.inside import remove_inside, write_inside
from remedy.host.namespaces import network_namespace_inode, network_namespace_path, run_in_opened_namespace
from remedy.plan.actions import InsideMember, UntrackInside


class UntrackInsideAction:
    """A container that has ended meanwhile has taken its rules with it, and is passed over."""

    def __init__(self, action: UntrackInside, context: ActionContext) -> None:
        self._action = action
        self._context = context
        self._backend = FirewallBackend(action.firewall_backend)

    def undo_data(self) -> dict[str, object]:
        """The containers that are as they are to be already."""
        return {"present": [member.container_id for member in self._members(are_right=True)]}

    def is_applied(self) -> bool:
        """All of those that run are."""
        return not self._members(are_right=False)

    def apply(self) -> None:
        """Raises EngineError, CommandError, OSError and what else the writer raises."""
        self._set(self._action.members, untracked=self._action.untracked)

    def revert(self, undo: dict[str, object]) -> None:
        """Raises the same."""
        listed = undo.get("present")
        present = set(listed) if isinstance(listed, list) else set()
        changed = [member for member in self._action.members if member.container_id not in present]
        self._set(changed, untracked=not self._action.untracked)

    def _members(self, *, are_right: bool) -> list[InsideMember]:
        found = []
        for member, namespace in self._opened(self._action.members):
            table = run_in_opened_namespace(namespace, read_own_table)
            is_right = table.kept_empty if self._action.untracked else not table.kept_empty
            # Where others have written rules by now nothing is left to do.
            if (is_right or table.rules == "other") is are_right:
                found.append(member)
        return found

    def _set(self, members: Sequence[InsideMember], *, untracked: bool) -> None:
        for member, namespace in self._opened(members):
            table = run_in_opened_namespace(namespace, read_own_table)
            if not untracked:
                if table.kept_empty:
                    remove_inside(namespace, self._backend)
            elif table.rules == "other":
                self._context.note(
                    f"{member.container} has firewall rules of its own by now: its own table is left alone"
                )
            elif not table.kept_empty:
                write_inside(namespace, self._backend)

    def _opened(self, members: Sequence[InsideMember]) -> Iterator[tuple[InsideMember, int]]:
        """The network namespace of each that runs, as an open descriptor."""
        if not members:
            return
        with engine_networks(self._context.engine.socket) as engine:
            for member in members:
                with _namespace(engine, member) as namespace:
                    if namespace is not None:
                        yield member, namespace


@contextmanager
def _namespace(engine: EngineNetworks, member: InsideMember) -> Iterator[int | None]:
    """None for one that has ended. Its process may end, and its number be somebody else's: so it is asked for twice."""
    pid = _pid(engine, member)
    try:
        namespace = None if pid is None else os.open(network_namespace_path(pid), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        namespace = None
    if namespace is None:
        yield None
        return
    try:
        if os.fstat(namespace).st_ino == network_namespace_inode():
            raise EngineError(
                f"{member.container} has the network namespace of remedy itself",
                next_step="remedy plan, and look again",
            )
        yield namespace if _pid(engine, member) == pid else None
    finally:
        os.close(namespace)


def _pid(engine: EngineNetworks, member: InsideMember) -> int | None:
    container = engine.container(member.container_id)
    return int(container["State"]["Pid"]) or None if container is not None else None
