"""Ending the connections that an undo would leave hanging: translated ones which need what is being taken back.

A connection from the host's loopback that DNAT leads to a container needs route_localnet for its answers, and one of a
container to itself needs hairpin_mode, as long as it lives. Without them both ends would wait in silence until their
timeouts. So they end in order, between two requests; what is never quiet loses its translation: its next packet meets
docker-proxy, which does not know it, and the client learns of it at once by a reset.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address

from remedy.actions.conntrack import delete_flow
from remedy.actions.context import ActionContext
from remedy.actions.engine import RUNNING
from remedy.actions.orderly_close import close_when_quiet
from remedy.errors import RemedyError
from remedy.facts.engine_api import Answer, EngineApi
from remedy.facts.flows import TCP, UDP, Question, TranslatedFlow, find_translated, read_translated
from remedy.facts.model import Address
from remedy.facts.sockets import RawSocket, find_owners, read_open_connections
from remedy.host.borrowed_sockets import BorrowedSocket, borrow, socket_descriptors
from remedy.host.namespaces import run_in_network_namespace

FAREWELL_SECONDS = 0.05  # for a client to answer a FIN with its own

End = tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Held:
    """A server's end of a flow: which process holds it under which number, and who is at the other end."""

    pid: int
    descriptor: int
    client: End


@dataclass(frozen=True, slots=True)
class Published:
    """A running container that publishes ports, as the engine tells now."""

    id: str
    pid: int
    addresses: frozenset[Address]


class Ending:
    """Which flows are to end, and how they are found among the sockets of their clients."""

    def __init__(self, containers: Collection[Published], ports: Collection[int], *, udp: bool) -> None:
        self.containers, self.ports, self.udp = containers, ports, udp

    def from_loopback(self) -> Iterator[TranslatedFlow]:
        """Those of the host's own loopback, which is IPv4 only. Raises OSError."""
        for one in read_open_connections(self.ports):
            if one.local_address.is_loopback:
                yield from _translated(one)
        if self.udp:
            yield from (flow for flow in read_translated(UDP, self.ports) if flow.question.source.is_loopback)

    def to_itself(self) -> Iterator[TranslatedFlow]:
        """Those of containers to themselves. Raises OSError."""
        for container in self.containers:
            sockets = run_in_network_namespace(container.pid, partial(read_open_connections, self.ports))
            for one in sockets:
                yield from (flow for flow in _translated(one) if flow.server in container.addresses)
        if self.udp:
            yield from (flow for flow in read_translated(UDP, self.ports) if flow.question.source == flow.server)


Find = Callable[[Ending], Iterator[TranslatedFlow]]


def end_flows(context: ActionContext, find: Find) -> None:
    """End flows: in order where that is possible, by losing their translation where it is not.

    It is a courtesy to clients: what goes wrong is told and stops nothing.
    """
    try:
        closed, cut = _end_flows(_look(context.engine.socket), find)
    except (RemedyError, OSError) as error:
        context.note(f"connections that need what is put back now may hang: {error}")
        return
    if closed or cut:
        context.note(f"closed {closed} connections in order" + (f", cut off {cut}" if cut else ""))


def _end_flows(ending: Ending, find: Find) -> tuple[int, int]:
    """How many were closed in order, and how many lost their translation. Raises OSError, PermissionNeededError."""
    flows = list(find(ending))
    if not flows:
        return 0, 0
    held = tuple(_held_ends(ending.containers, [flow for flow in flows if flow.question.protocol == TCP]))
    ended = close_when_quiet(partial(_connections, held))
    if ended.closed:
        time.sleep(FAREWELL_SECONDS)
    served = {flow.server for flow in flows}
    concerned = [container for container in ending.containers if served & container.addresses]
    left = list(find(Ending(concerned, ending.ports, udp=ending.udp)))
    for flow in left:
        delete_flow(flow.question)
    return ended.closed, len(left)


def _look(endpoint: str) -> Ending:
    api = EngineApi(endpoint)
    try:
        running = [c for c in api.containers() if c.get("State") in RUNNING]
        bindings = {c["Id"]: [port for port in c.get("Ports") or () if port.get("PublicPort")] for c in running}
        containers = [
            Published(container["Id"], int(inspected["State"]["Pid"]), frozenset(_addresses(container)))
            for container in running
            if bindings[container["Id"]] and (inspected := api.inspect_container(container["Id"])) is not None
        ]
    finally:
        api.close()
    published = [port for ports in bindings.values() for port in ports]
    return Ending(
        containers,
        frozenset(int(port["PublicPort"]) for port in published),
        udp=any(port.get("Type") == "udp" for port in published),
    )


def _translated(client: RawSocket) -> Iterator[TranslatedFlow]:
    question = Question(TCP, client.local_address, client.local_port, client.remote_address, client.remote_port)
    found = find_translated(question)
    if found is not None:
        yield found


def _held_ends(containers: Iterable[Published], flows: Collection[TranslatedFlow]) -> Iterator[_Held]:
    for container in containers:
        ends = {
            ((str(flow.server), flow.server_port), (str(flow.seen), flow.seen_port))
            for flow in flows
            if flow.server in container.addresses
        }
        if ends:
            yield from _held_in_container(container.pid, ends)


def _held_in_container(pid: int, ends: Collection[tuple[End, End]]) -> Iterator[_Held]:
    ports = frozenset(local[1] for local, _ in ends)
    sockets = run_in_network_namespace(pid, partial(read_open_connections, ports))
    inodes = {
        one.inode
        for one in sockets
        if ((str(one.local_address), one.local_port), (str(one.remote_address), one.remote_port)) in ends
    }
    for owner in {owner for owner, _ in find_owners(inodes, [pid]).values()}:
        for number, connection in borrow(owner, socket_descriptors(owner)):
            with suppress(OSError):
                if (connection.local, connection.remote) in ends:
                    yield _Held(owner, number, connection.remote)


def _connections(held: Iterable[_Held]) -> Iterator[BorrowedSocket]:
    for end in held:
        for _, connection in borrow(end.pid, [end.descriptor]):
            with suppress(OSError):
                if connection.remote == end.client:
                    yield connection


def _addresses(container: Answer) -> Iterator[Address]:
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    for endpoint in networks.values():
        for key in ("IPAddress", "GlobalIPv6Address"):
            if endpoint.get(key):
                yield ip_address(endpoint[key])
