"""The network namespaces of the host and its containers, each read from the inside."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial

from remedy.facts.addresses import Addressing, read_addressing
from remedy.facts.connections import Owners, listening_sockets, merge_connections
from remedy.facts.container_processes import ContainerProcesses
from remedy.facts.interest import Interest
from remedy.facts.model import Container, NetNamespace, OwnTable
from remedy.facts.own_tables import read_own_table
from remedy.facts.sockets import RawSocket, find_owners, read_sockets
from remedy.facts.sysctls import read_reverse_path_filters
from remedy.facts.unread import Notes
from remedy.host.namespaces import network_namespace_inode, run_in_network_namespace

NOTHING = Addressing((), (), (), ())


@dataclass(frozen=True, slots=True)
class Place:
    """A network namespace, how to get in, and who is in it."""

    inode: int
    pid: int
    containers: tuple[Container, ...]
    is_host: bool = False

    @property
    def name(self) -> str:
        """How it is called in `unread`."""
        if self.is_host:
            return "host"
        return f"container {self.containers[0].name}" if self.containers else f"process {self.pid}"


@dataclass(frozen=True, slots=True)
class Contents:
    """What was read in a namespace, before its sockets' owners are known."""

    place: Place
    addressing: Addressing
    sockets: tuple[RawSocket, ...]
    sysctls: dict[str, str] = field(default_factory=dict)
    own_table: OwnTable | None = None


def find_places(containers: Sequence[Container], notes: Notes) -> list[Place]:
    """Group the running containers by namespace, the host's first."""
    host = network_namespace_inode()
    groups: dict[int, list[Container]] = {host: []}
    for container in containers:
        if container.is_running:
            inode = notes.attempt(
                f"namespace of container {container.name}", None, partial(network_namespace_inode, container.pid)
            )
            if inode is not None:
                groups.setdefault(inode, []).append(container)
    return [
        Place(inode, _pid_on_host(host) if inode == host else members[0].pid, tuple(members), inode == host)
        for inode, members in groups.items()
    ]


def read_places(places: Iterable[Place], ports: Collection[int], pool: Executor, notes: Notes) -> list[Contents]:
    """Read namespaces side by side."""
    return list(pool.map(lambda place: _read_place(place, ports, notes), places))


def describe(
    contents: Sequence[Contents], interest: Interest, programs: Collection[int], notes: Notes
) -> tuple[NetNamespace, ...]:
    """Add the sockets' owners, looked for once for all namespaces; `programs` are looked at first."""
    inodes = {socket.inode for read in contents for socket in read.sockets}
    owners = notes.attempt("owners of sockets", {}, partial(find_owners, inodes, programs))
    if os.geteuid() != 0:
        notes.add("owners of sockets", "only root sees which process holds a socket")
    containers = _container_ids(contents, owners)
    return tuple(_describe(read, interest, owners, containers, notes) for read in contents)


def _pid_on_host(inode: int) -> int:
    """Return a process of the host's namespace that will outlive remedy's own: init, where that is one."""
    try:
        return 1 if network_namespace_inode(1) == inode else os.getpid()
    except OSError:
        return os.getpid()


def _read_place(place: Place, ports: Collection[int], notes: Notes) -> Contents:
    def read() -> Contents:
        addressing = notes.attempt(f"addresses of {place.name}", NOTHING, read_addressing)
        sockets = notes.attempt(f"sockets of {place.name}", (), partial(read_sockets, ports))
        if place.is_host:
            return Contents(place, addressing, tuple(sockets))
        own = [link.name for link in addressing.links if link.name != "lo"]
        table = notes.attempt(f"conntrack table of {place.name}", None, read_own_table)
        return Contents(place, addressing, tuple(sockets), read_reverse_path_filters(own), table)

    unread = Contents(place, NOTHING, ())
    return notes.attempt(f"namespace of {place.name}", unread, partial(run_in_network_namespace, place.pid, read))


def _container_ids(contents: Sequence[Contents], owners: Owners) -> dict[int, str]:
    """Return the containers' ids by process, of the processes that wait on a socket in a namespace of theirs."""
    shared = [read for read in contents if read.place.containers]
    waiting = (socket.inode for read in shared for socket in read.sockets if socket.is_waiting)
    processes = ContainerProcesses(container for read in shared for container in read.place.containers)
    return processes.owner_ids(owners[inode][0] for inode in waiting if inode in owners)


def _describe(
    read: Contents, interest: Interest, owners: Owners, containers: Mapping[int, str], notes: Notes
) -> NetNamespace:
    connections, complete = merge_connections(read.sockets, interest, owners)
    if not complete:
        notes.add(f"connections of {read.place.name}", "there are more than are kept")
    return NetNamespace(
        inode=read.place.inode,
        is_host=read.place.is_host,
        containers=tuple(container.id for container in read.place.containers),
        pid=read.place.pid,
        links=read.addressing.links,
        addresses=read.addressing.addresses,
        routes=read.addressing.routes,
        rules=read.addressing.rules,
        listening=listening_sockets(read.sockets, owners, containers),
        connections=connections,
        sysctls=read.sysctls,
        own_table=read.own_table,
    )
