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
from remedy.actions.orderly_close import close_when_quiet
from remedy.errors import RemedyError
from remedy.facts.conntrack import TCP, TranslatedFlow, read_translated_flows
from remedy.facts.engine_api import Answer, EngineApi
from remedy.facts.model import Address
from remedy.facts.sockets import find_owners, read_sockets
from remedy.host.borrowed_sockets import BorrowedSocket, borrow, socket_descriptors
from remedy.host.namespaces import run_in_network_namespace

FAREWELL_SECONDS = 0.05  # for a client to answer a FIN with its own

Wanted = Callable[[TranslatedFlow], bool]
End = tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Held:
    """A server's end of a flow: which process holds it under which number, and who is at the other end."""

    pid: int
    descriptor: int
    client: End


def is_from_loopback(flow: TranslatedFlow) -> bool:
    """Whether the host's own loopback asked."""
    return flow.source.is_loopback


def is_to_itself(flow: TranslatedFlow) -> bool:
    """Whether a container asked itself."""
    return flow.source == flow.server


def end_flows(context: ActionContext, wanted: Wanted) -> None:
    """End the wanted flows: in order where that is possible, by losing their translation where it is not.

    It is a courtesy to clients: what goes wrong is told and stops nothing.
    """
    try:
        closed, cut = _end_flows(context.engine.socket, wanted)
    except (RemedyError, OSError) as error:
        context.note(f"connections that need what is put back now may hang: {error}")
        return
    if closed or cut:
        context.note(f"closed {closed} connections in order" + (f", cut off {cut}" if cut else ""))


def _end_flows(endpoint: str, wanted: Wanted) -> tuple[int, int]:
    """How many were closed in order, and how many lost their translation. Raises EngineError, OSError."""
    api = EngineApi(endpoint)
    try:
        published = [c for c in api.containers() if c.get("State") == "running" and _ports(c)]
        ports = frozenset(port for container in published for port in _ports(container))
        flows = [flow for flow in read_translated_flows(ports) if wanted(flow)]
        if not flows:
            return 0, 0
        held = tuple(_held_ends(api, published, [flow for flow in flows if flow.protocol == TCP]))
    finally:
        api.close()
    ended = close_when_quiet(partial(_connections, held))
    if ended.closed:
        time.sleep(FAREWELL_SECONDS)
    left = [flow for flow in read_translated_flows(ports) if wanted(flow)]
    for flow in left:
        delete_flow(flow)
    return ended.closed, len(left)


def _held_ends(api: EngineApi, published: Iterable[Answer], flows: Collection[TranslatedFlow]) -> Iterator[_Held]:
    for container in published:
        addresses = set(_addresses(container))
        ends = {
            ((str(flow.server), flow.server_port), (str(flow.seen), flow.seen_port))
            for flow in flows
            if flow.server in addresses
        }
        inspected = api.inspect_container(container["Id"]) if ends else None
        if inspected is not None:
            yield from _held_in_container(int(inspected["State"]["Pid"]), ends)


def _held_in_container(pid: int, ends: Collection[tuple[End, End]]) -> Iterator[_Held]:
    ports = frozenset(local[1] for local, _ in ends)
    sockets = run_in_network_namespace(pid, partial(read_sockets, ports))
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


def _ports(container: Answer) -> set[int]:
    return {int(port["PublicPort"]) for port in container.get("Ports") or () if port.get("PublicPort")}


def _addresses(container: Answer) -> Iterator[Address]:
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    for endpoint in networks.values():
        for key in ("IPAddress", "GlobalIPv6Address"):
            if endpoint.get(key):
                yield ip_address(endpoint[key])
