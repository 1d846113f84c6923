"""From sockets to facts: who listens where, and which connections have to do with a published port."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from remedy.facts.interest import Interest
from remedy.facts.model import Connection, ListeningSocket, Protocol
from remedy.facts.sockets import RawSocket

MAXIMUM_CONNECTIONS = 5_000

Owners = dict[int, tuple[int, str]]
_Key = tuple[object, ...]


def listening_sockets(
    sockets: Iterable[RawSocket], owners: Owners, containers: Mapping[int, str] | None = None
) -> tuple[ListeningSocket, ...]:
    """Return the waiting sockets, by protocol, port and address; containers: the ids by process."""
    found = [_listening(socket, owners, containers or {}) for socket in sockets if socket.is_waiting]
    return tuple(
        sorted(found, key=lambda item: (item.protocol, item.port, item.address.version, item.address, item.inode))
    )


def merge_connections(
    sockets: Iterable[RawSocket], interest: Interest, owners: Owners, limit: int = MAXIMUM_CONNECTIONS
) -> tuple[tuple[Connection, ...], bool]:
    """Make one of the connections that differ only in the client's port; (connections, whether these are all)."""
    first: dict[_Key, Connection] = {}
    counts: dict[_Key, int] = {}
    complete = True
    for socket in sockets:
        if socket.protocol is not Protocol.TCP or socket.is_waiting or not is_of_interest(socket, interest):
            continue
        connection = _connection(socket, owners)
        key = _all_but_client_port(connection, interest)
        if key not in first and len(first) >= limit:
            complete = False
            continue
        first.setdefault(key, connection)
        counts[key] = counts.get(key, 0) + socket.count
    merged = [
        connection.model_copy(update={"count": counts[key]}) if counts[key] > 1 else connection
        for key, connection in first.items()
    ]
    return tuple(sorted(merged, key=_order)), complete


def is_of_interest(socket: RawSocket, interest: Interest) -> bool:
    """Whether either end of a connection counts."""
    local, remote = (socket.local_address, socket.local_port), (socket.remote_address, socket.remote_port)
    return interest.covers(local) or interest.covers(remote)


def _listening(socket: RawSocket, owners: Owners, containers: Mapping[int, str]) -> ListeningSocket:
    pid, program = owners.get(socket.inode, (None, None))
    return ListeningSocket(
        protocol=socket.protocol,
        address=socket.local_address,
        port=socket.local_port,
        inode=socket.inode,
        pid=pid,
        program=program,
        v6only=socket.v6only,
        container_id=None if pid is None else containers.get(pid),
    )


def _connection(socket: RawSocket, owners: Owners) -> Connection:
    pid, program = owners.get(socket.inode, (None, None))
    return Connection(
        local_address=socket.local_address,
        local_port=socket.local_port,
        remote_address=socket.remote_address,
        remote_port=socket.remote_port,
        state=socket.state,
        inode=socket.inode,
        pid=pid,
        program=program,
    )


def _all_but_client_port(connection: Connection, interest: Interest) -> _Key:
    serves = connection.local_port in interest.ports
    return (
        connection.local_address,
        connection.local_port if serves else None,
        connection.remote_address,
        None if serves else connection.remote_port,
        connection.state,
        connection.pid,
    )


def _order(connection: Connection) -> tuple[object, ...]:
    return (
        str(connection.local_address),
        connection.local_port,
        str(connection.remote_address),
        connection.remote_port,
        connection.state,
    )
