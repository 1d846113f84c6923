"""Entries in a host's conntrack table without the connections: as many as a test needs, in a moment.

Made over ctnetlink (IPCTNL_MSG_CT_NEW), so that the kernel's table holds them as it holds any other.
"""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

NETLINK_NETFILTER = 12
TIME_WAIT, ESTABLISHED = 7, 3
_NEW = 1 << 8
_CREATE_ACKNOWLEDGED = 0x1 | 0x4 | 0x200 | 0x400  # REQUEST, ACK, EXCL, CREATE
_SEEN_REPLY, _ASSURED, _CONFIRMED = 1 << 1, 1 << 2, 1 << 3
_LASTS_SECONDS = 600
_PORTS = 60_000


@dataclass(frozen=True, slots=True)
class Flows:
    """TCP flows from consecutive addresses and ports. server: who answers, where DNAT leads elsewhere."""

    client: str
    address: str
    port: int
    server: str
    server_port: int
    state: int = TIME_WAIT


def make_flows(flows: Flows, number: int) -> None:
    """Make them in the calling thread's network namespace. Raises OSError."""
    first = int(IPv4Address(flows.client))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as channel:
        channel.bind((0, 0))
        for index in range(number):
            client, port = (first + index // _PORTS).to_bytes(4, "big"), 1024 + index % _PORTS
            channel.send(_message(flows, client, port))
            error = -struct.unpack_from("=i", channel.recv(4096), 16)[0]
            if error:
                raise OSError(error, os.strerror(error))


def _message(flows: Flows, client: bytes, port: int) -> bytes:
    address, server = IPv4Address(flows.address).packed, IPv4Address(flows.server).packed
    status = struct.pack("!I", _SEEN_REPLY | _ASSURED | _CONFIRMED)
    body = (
        struct.pack("!BBH", socket.AF_INET, 0, 0)
        + _tuple(1, client, address, port, flows.port)
        + _tuple(2, server, client, flows.server_port, port)
        + _attribute(3, status)
        + _attribute(7, struct.pack("!I", _LASTS_SECONDS))
        + _nested(4, _nested(1, _attribute(1, bytes([flows.state]))))
    )
    return struct.pack("=IHHII", 16 + len(body), _NEW, _CREATE_ACKNOWLEDGED, 1, 0) + body


def _tuple(kind: int, source: bytes, destination: bytes, source_port: int, destination_port: int) -> bytes:
    ports = (
        _attribute(1, bytes([socket.IPPROTO_TCP]))
        + _attribute(2, struct.pack("!H", source_port))
        + _attribute(3, struct.pack("!H", destination_port))
    )
    return _nested(kind, _nested(1, _attribute(1, source) + _attribute(2, destination)) + _nested(2, ports))


def _nested(kind: int, content: bytes) -> bytes:
    return _attribute(kind | 0x8000, content)


def _attribute(kind: int, content: bytes) -> bytes:
    length = 4 + len(content)
    return struct.pack("=HH", length, kind) + content + bytes(-length % 4)
