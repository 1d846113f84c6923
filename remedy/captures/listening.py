"""Listening sockets from the lines of `ss -lntupH`, and whose they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address

from remedy.facts.model import Address, Container, ListeningSocket, Protocol

ENGINE_PROGRAM = "dockerd"
_Guess = Callable[["SocketLine", Sequence[Container]], Container | None]
_USER = re.compile(r'\("((?:[^"\\]|\\.)*)",pid=(\d+)')
_PROTOCOLS = {"tcp": Protocol.TCP, "udp": Protocol.UDP, "sctp": Protocol.SCTP}


@dataclass(frozen=True, slots=True)
class SocketLine:
    """One line of ss; users are the processes that hold the socket, by pid: of a master and its workers the master."""

    protocol: Protocol
    address: Address
    port: int
    v6only: bool | None
    users: tuple[tuple[int, str], ...]


def parse_lines(lines: Iterable[str]) -> Iterator[SocketLine]:
    """Read the lines of waiting sockets: `tcp LISTEN 0 4096 [::]:8080 [::]:* users:(("nginx",pid=7,fd=5))`."""
    for line in lines:
        fields = line.split(maxsplit=6)
        if len(fields) < 6 or fields[0] not in _PROTOCOLS or fields[1] not in {"LISTEN", "UNCONN"}:
            continue
        host, _, port = fields[4].rpartition(":")
        if not port.isdigit():
            continue
        address, v6only = _address(host)
        users = ((int(pid), program) for program, pid in _USER.findall(line))
        yield SocketLine(_PROTOCOLS[fields[0]], address, int(port), v6only, tuple(sorted(users)))


def listening_sockets(
    lines: Iterable[SocketLine], members: Sequence[Container], *, is_host: bool
) -> tuple[ListeningSocket, ...]:
    """Return the sockets of a namespace that `members` share, in the order of remedy.facts.connections."""
    known = list(lines)
    holders = {pid for line in known for pid, _ in line.users}
    later: _Guess = partial(_later_on_host, holders=holders) if is_host else _later_inside
    found = [_listening(line, _first_process(line, members) or later(line, members)) for line in known]
    return tuple(sorted(found, key=lambda item: (item.protocol, item.port, item.address.version, item.address)))


def _listening(line: SocketLine, owner: Container | None) -> ListeningSocket:
    pid, program = line.users[0] if line.users else (None, None)
    return ListeningSocket(
        protocol=line.protocol,
        address=line.address,
        port=line.port,
        inode=0,  # ss was not asked for it
        pid=pid,
        program=program,
        v6only=line.v6only,
        container_id=None if owner is None else owner.id,
    )


def _first_process(line: SocketLine, members: Sequence[Container]) -> Container | None:
    pids = {pid for pid, _ in line.users}
    return next((member for member in members if member.pid in pids), None)


def _later_inside(line: SocketLine, members: Sequence[Container]) -> Container | None:
    """Return whose later process holds a socket of containers' namespace: captures tell no process's parent.

    It is taken to be of the one whose command names it, then of the one that started last before it. The engine's
    DNS listens in there too and is none of theirs.
    """
    if any(program == ENGINE_PROGRAM for _, program in line.users):
        return None
    if not line.users:
        return members[0] if len(members) == 1 else None
    pid, program = line.users[0]
    earlier = [member for member in members if member.pid <= pid]
    return max(earlier, key=lambda member: (program in _words(member), member.pid), default=None)


def _later_on_host(line: SocketLine, members: Sequence[Container], holders: Collection[int]) -> Container | None:
    """Return whose later process holds a socket of the host's, which has servers of its own.

    Only a container comes into question whose first process is none of `holders` of sockets (such as haproxy's
    master) and whose command names the program.
    """
    named = [
        member
        for member in members
        if member.pid not in holders and any(program in _words(member) for _, program in line.users)
    ]
    return _later_inside(line, named)


def _words(container: Container) -> set[str]:
    words = " ".join((*container.entrypoint, *container.command)).split()
    return {word.rpartition("/")[2] for word in words}


def _address(host: str) -> tuple[Address, bool | None]:
    """Read ss's local address: `*` is a socket of both families, `[::]` one of IPv6 only (iproute2 misc/ss.c)."""
    text = host.partition("%")[0].strip("[]") if "%" in host else host.strip("[]")
    if text == "*":
        return IPv6Address("::"), False
    address = ip_address(text)
    if isinstance(address, IPv4Address):
        return address, None
    return address, True if address == IPv6Address("::") else None
