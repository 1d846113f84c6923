"""Listening sockets and TCP connections of a network namespace, asked of the kernel's sock_diag.

/proc/net/tcp6 would not say whether a socket on :: takes IPv4 connections too (docker-proxy's do not), and
it makes us read every TIME-WAIT connection of the host as text.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from itertools import chain

from remedy.facts.model import Address, Protocol
from remedy.facts.netlink import attributes, dump, messages
from remedy.facts.processes import PROC, process_ids, read_program

NETLINK_SOCK_DIAG = 4
TCPDIAG_GETSOCK = 18
SOCK_DIAG_BY_FAMILY = 20
INET_DIAG_SKV6ONLY = 11
_IPPROTO = {Protocol.TCP: 6, Protocol.UDP: 17}
_FAMILIES = (2, 10)  # AF_INET, AF_INET6
# Kernel numbers of the states (include/net/tcp_states.h); UDP sockets without a peer are in CLOSE.
STATES = {
    1: "ESTABLISHED",
    2: "SYN-SENT",
    3: "SYN-RECV",
    4: "FIN-WAIT-1",
    5: "FIN-WAIT-2",
    6: "TIME-WAIT",
    7: "CLOSE",
    8: "CLOSE-WAIT",
    9: "LAST-ACK",
    10: "LISTEN",
    11: "CLOSING",
    12: "SYN-RECV",
}
_TIME_WAIT, _CLOSE, _LISTEN = 6, 7, 10
_ALL_BUT_CLOSED_TCP = 0x1FFF & ~(1 << 7)
_OPEN_TCP = sum(1 << state for state in (1, 2, 3, 4, 5, 8))
_UNCONNECTED_UDP = 1 << 7
_REQUEST = struct.Struct("=BBBBI48x")
_OLD_REQUEST = struct.Struct("=BBBB48xII")
_MESSAGE_BYTES = 72
_PORTS = struct.Struct("!HH")


@dataclass(frozen=True, slots=True)
class RawSocket:
    """A socket as the kernel tells it, without its owner."""

    protocol: Protocol
    state: str
    local_address: Address
    local_port: int
    remote_address: Address
    remote_port: int
    inode: int
    v6only: bool | None = None
    count: int = 1  # of TIME-WAIT connections that differ in the client's port only

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for whoever comes, and is not the end of a connection."""
        return self.state == "LISTEN" or (self.protocol is Protocol.UDP and self.state == "CLOSE")


def read_sockets(ports: Collection[int]) -> list[RawSocket]:
    """Read the calling thread's namespace: every waiting socket, and the connections with one of `ports`."""
    found = list(parse_sockets(_dump_tcp(_ALL_BUT_CLOSED_TCP), Protocol.TCP, ports))
    for family in _FAMILIES:
        request = _REQUEST.pack(family, _IPPROTO[Protocol.UDP], 0, 0, _UNCONNECTED_UDP)
        datagrams = dump(NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, request)
        found.extend(parse_sockets(chain.from_iterable(map(messages, datagrams)), Protocol.UDP, ports))
    return found


def read_open_connections(ports: Collection[int]) -> list[RawSocket]:
    """Read the connections of the calling thread's namespace with one of `ports` that are not over yet.

    The kernel leaves out the rest: where there are many, they are in TIME-WAIT.
    """
    return list(parse_sockets(_dump_tcp(_OPEN_TCP), Protocol.TCP, ports))


def read_ended_connections(ports: Collection[int], families: Collection[int]) -> list[RawSocket]:
    """Read the connections in TIME-WAIT with one of `ports`, a minute back, of the IP versions in `families`."""
    found: list[RawSocket] = []
    for family in families:
        request = _REQUEST.pack(family, _IPPROTO[Protocol.TCP], 0, 0, 1 << _TIME_WAIT)
        datagrams = dump(NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, request)
        found.extend(parse_sockets(chain.from_iterable(map(messages, datagrams)), Protocol.TCP, ports))
    return found


def _dump_tcp(states: int) -> Iterator[bytes]:
    """Give the TCP sockets in `states`, of both IP versions, by the request of before Linux 3.3.

    Today's names one version, and each walks through the table of all the machine's namespaces (6 ms).
    """
    datagrams = dump(NETLINK_SOCK_DIAG, TCPDIAG_GETSOCK, _OLD_REQUEST.pack(0, 0, 0, 0, states, 0))
    return chain.from_iterable(map(messages, datagrams))


def parse_sockets(payloads: Iterable[bytes], protocol: Protocol, ports: Collection[int]) -> Iterator[RawSocket]:
    """Read inet_diag messages; of connections only those with one of `ports` at either end.

    A busy host has tens of thousands of TIME-WAIT connections, which belong to nobody: those that differ only in
    the client's port are counted by their bytes, and given once.
    """
    past: dict[tuple[object, ...], bytes] = {}
    counts: Counter[tuple[object, ...]] = Counter()
    for payload in payloads:
        if len(payload) < _MESSAGE_BYTES:
            continue
        local_port, remote_port = _PORTS.unpack_from(payload, 4)
        if payload[1] == _TIME_WAIT and (local_port in ports or remote_port in ports):
            server = (local_port, None) if local_port in ports else (None, remote_port)
            key: tuple[object, ...] = (payload[0], payload[8:40], server)
            past.setdefault(key, payload)
            counts[key] += 1
            continue
        waiting = payload[1] == _LISTEN or (protocol is Protocol.UDP and payload[1] == _CLOSE)
        if waiting or local_port in ports or remote_port in ports:
            yield _socket(payload, protocol, waiting=waiting)
    for key, payload in past.items():
        yield replace(_socket(payload, protocol), count=counts[key])


def _socket(payload: bytes, protocol: Protocol, *, waiting: bool = False) -> RawSocket:
    local_port, remote_port = _PORTS.unpack_from(payload, 4)
    return RawSocket(
        protocol,
        STATES.get(payload[1], str(payload[1])),
        _address(payload, 8, unmap=not waiting),
        local_port,
        _address(payload, 24, unmap=not waiting),
        remote_port,
        struct.unpack_from("=I", payload, 68)[0],
        _v6only(payload) if waiting else None,
    )


def find_owners(inodes: Collection[int], first: Iterable[int] = ()) -> dict[int, tuple[int, str]]:
    """Return (pid, program) by socket inode, looking at processes `first`, then at all until each is found.

    Of several processes that hold a socket the first counts: of a master and its workers the master.
    """
    wanted = set(inodes) - {0}
    owners: dict[int, tuple[int, str]] = {}
    for pid in dict.fromkeys((*first, *process_ids())):
        if not wanted:
            break
        held = wanted.intersection(socket_inodes(pid))
        if held:
            program = read_program(pid) or "?"
            owners.update(dict.fromkeys(held, (pid, program)))
            wanted -= held
    return owners


def socket_inodes(pid: int) -> Iterator[int]:
    """Give the inodes of the sockets that a process holds; none when it is gone."""
    directory = f"{PROC}/{pid}/fd"
    try:
        names = os.listdir(directory)  # noqa: PTH208
    except OSError:
        return
    for name in names:
        try:
            target = os.readlink(f"{directory}/{name}")  # noqa: PTH115
        except OSError:
            continue
        if target.startswith("socket:["):
            yield int(target[8:-1])


def _address(payload: bytes, position: int, *, unmap: bool) -> Address:
    if payload[0] == _FAMILIES[0]:
        return IPv4Address(payload[position : position + 4])
    address = IPv6Address(payload[position : position + 16])
    return (address.ipv4_mapped or address) if unmap else address


def _v6only(payload: bytes) -> bool | None:
    for kind, value in attributes(payload, _MESSAGE_BYTES):
        if kind == INET_DIAG_SKV6ONLY and value:
            return value[0] != 0
    return None
