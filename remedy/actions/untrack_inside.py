"""UntrackInside: remedy's rules in containers' own network namespaces, found by the containers' processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from remedy.actions.context import ActionContext
from remedy.actions.engine_networks import EngineNetworks, engine_networks
from remedy.errors import EngineError
from remedy.facts.container_processes import container_of
from remedy.facts.model import FirewallBackend, OwnTable
from remedy.facts.own_tables import read_own_table
from remedy.facts.processes import process_ids
from remedy.firewall.inside import remove_inside, write_inside
from remedy.host.namespaces import network_namespace_inode, network_namespace_path, run_in_opened_namespace
from remedy.plan.actions import InsideMember, UntrackInside

AT_ONCE = 8
Result = TypeVar("Result")


class UntrackInsideAction:
    """A container that has ended meanwhile has taken its rules with it, and is passed over."""

    def __init__(self, action: UntrackInside, context: ActionContext) -> None:
        self._action = action
        self._context = context
        self._backend = FirewallBackend(action.firewall_backend)

    def undo_data(self) -> dict[str, object]:
        """The containers that are as they are to be already."""
        return {"present": [member.container_id for member, table in self._tables() if self._is_right(table)]}

    def is_applied(self) -> bool:
        """All of those that run are; where others have written rules by now nothing is left to do."""
        return all(self._is_right(table) or self._is_others(table) for _, table in self._tables())

    def apply(self) -> None:
        """Raises EngineError, CommandError, OSError and what else the writer raises."""
        self._set(self._action.members, untracked=self._action.untracked)

    def revert(self, undo: dict[str, object]) -> None:
        """Raises the same; rules are removed without the engine's help, as it may be down."""
        listed = undo.get("present")
        present = set(listed) if isinstance(listed, list) else set()
        changed = [member for member in self._action.members if member.container_id not in present]
        if self._action.untracked:
            for namespace in _namespaces_of({member.container_id for member in changed}):
                remove_inside(namespace, self._backend)
        else:
            self._set(changed, untracked=True)

    def _is_right(self, table: OwnTable) -> bool:
        return table.kept_empty is self._action.untracked

    def _is_others(self, table: OwnTable) -> bool:
        return self._action.untracked and table.rules == "other"

    def _tables(self) -> list[tuple[InsideMember, OwnTable]]:
        found = self._inside(self._action.members, lambda namespace: run_in_opened_namespace(namespace, read_own_table))
        return [(member, table) for member, table in found if table is not None]

    def _set(self, members: Sequence[InsideMember], *, untracked: bool) -> None:
        done = self._inside(members, partial(self._set_one, untracked=untracked))
        for member, is_others in done:
            if is_others:
                self._context.note(f"{member.container} has firewall rules of its own by now: its table is left alone")

    def _set_one(self, namespace: int, *, untracked: bool) -> bool:
        """Return whether it was left alone, as others have written rules there."""
        if not untracked:
            remove_inside(namespace, self._backend)
            return False
        table = run_in_opened_namespace(namespace, read_own_table)
        if table.rules != "other" and not table.kept_empty:
            write_inside(namespace, self._backend)
        return table.rules == "other"

    def _inside(
        self, members: Sequence[InsideMember], act: Callable[[int], Result]
    ) -> list[tuple[InsideMember, Result | None]]:
        """What `act` returns in the network namespace (an open descriptor) of each that runs, a few at a time."""
        if not members:
            return []
        with engine_networks(self._context.engine.socket) as engine, ThreadPoolExecutor(AT_ONCE) as pool:
            results = list(pool.map(partial(_inside_one, engine, act), members))
        return list(zip(members, results, strict=True))


def _inside_one(engine: EngineNetworks, act: Callable[[int], Result], member: InsideMember) -> Result | None:
    with _namespace(engine, member) as namespace:
        return None if namespace is None else act(namespace)


@contextmanager
def _namespace(engine: EngineNetworks, member: InsideMember) -> Iterator[int | None]:
    """None for one that has ended: its process may end, and its number be somebody else's by then."""
    pid = _pid(engine, member)
    with _opened(pid) as namespace:
        if namespace is not None and os.fstat(namespace).st_ino == network_namespace_inode():
            raise EngineError(
                f"{member.container} has the network namespace of remedy itself",
                next_step="remedy plan, and look again",
            )
        is_the_same = pid is not None and (container_of(pid) == member.container_id or _pid(engine, member) == pid)
        yield namespace if is_the_same else None


def _pid(engine: EngineNetworks, member: InsideMember) -> int | None:
    container = engine.container(member.container_id)
    return int(container["State"]["Pid"]) or None if container is not None else None


def _namespaces_of(containers: Collection[str]) -> Iterator[int]:
    """Each network namespace of the processes of these containers (ids), as an open descriptor."""
    seen = {network_namespace_inode()}
    for pid in process_ids() if containers else ():
        if container_of(pid) not in containers:
            continue
        with _opened(pid) as namespace:
            if namespace is None or container_of(pid) not in containers:
                continue
            inode = os.fstat(namespace).st_ino
            if inode not in seen:
                seen.add(inode)
                yield namespace


@contextmanager
def _opened(pid: int | None) -> Iterator[int | None]:
    """The network namespace of a process; None where there is no such process."""
    try:
        namespace = None if pid is None else os.open(network_namespace_path(pid), os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        namespace = None
    try:
        yield namespace
    finally:
        if namespace is not None:
            os.close(namespace)
