"""Which container a process belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable

from remedy.facts.model import Container
from remedy.facts.processes import parse_parent, read_proc_text

_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")


class ContainerProcesses:
    """Tells the container of a process: the one that it is the first process of, else by its cgroup or its parent.

    The engine names a container's cgroup by its id, with either cgroup driver and version:
    /docker/ID, /system.slice/docker-ID.scope.
    """

    def __init__(self, containers: Iterable[Container]) -> None:
        running = [container for container in containers if container.is_running]
        self._by_pid = {container.pid: container for container in running}
        self._by_id = {container.id: container for container in running}

    def owner_of(self, pid: int, parent: int | None = None) -> Container | None:
        """Return the container, None for a process of the host; parent: where it is known already."""
        if pid in self._by_pid:
            return self._by_pid[pid]
        try:
            ids = _CONTAINER_ID.findall(read_proc_text(pid, "cgroup"))
        except OSError:
            ids = []
        known = next((self._by_id[found] for found in reversed(ids) if found in self._by_id), None)
        return known or self._by_pid.get(_parent_of(pid) if parent is None else parent)

    def owner_ids(self, pids: Iterable[int]) -> dict[int, str]:
        """Return the container's id of each process that is a container's."""
        if not self._by_pid:
            return {}
        owners = ((pid, self.owner_of(pid)) for pid in set(pids))
        return {pid: owner.id for pid, owner in owners if owner is not None}


def container_of(pid: int) -> str | None:
    """The id of the container in whose cgroup a process is, the innermost; None for others, and for none there is."""
    try:
        found = _CONTAINER_ID.findall(read_proc_text(pid, "cgroup"))
    except OSError:
        return None
    return found[-1] if found else None


def _parent_of(pid: int) -> int:
    try:
        return parse_parent(read_proc_text(pid, "stat"))
    except OSError:
        return 0
