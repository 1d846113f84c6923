"""The few bytes of netfilter's netlink protocol that remedy speaks itself.

Messages, attributes, one socket. linux/netlink.h and linux/netfilter/nfnetlink.h; stable since Linux 3.13.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_NETLINK_NETFILTER = 12
_NFTABLES = 10  # NFNL_SUBSYS_NFTABLES
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_REQUEST, _ACKNOWLEDGE, _DUMP = 0x1, 0x4, 0x300
_DUMP_INTERRUPTED = 0x10
_ERROR, _DONE = 2, 3

CREATE, APPEND = 0x400, 0x800  # NLM_F_CREATE, NLM_F_APPEND

_HEADER = struct.Struct("=IHHII")
_NFGENMSG = struct.Struct("!BBH")
_ATTRIBUTE = struct.Struct("=HH")
_TIMEOUT_SECONDS = 1.0
_BUFFER = 1 << 17


@dataclass(frozen=True, slots=True)
class Message:
    """A request to nf_tables: its number (NFT_MSG_*), flags, and attributes already packed."""

    kind: int
    body: bytes
    flags: int = 0


class DumpInterruptedError(Exception):
    """The table changed while it was dumped: ask again."""


class NfTables:
    """One socket to nf_tables of the network namespace in which it is opened; for one thread at a time.

    Its methods raise OSError as the kernel answers (EPERM, ENOENT, EBUSY ...).
    """

    def __init__(self, family: int) -> None:
        self._family = family
        self._sequence = 0
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
        self._socket.settimeout(_TIMEOUT_SECONDS)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def dump(self, message: Message) -> list[bytes]:
        """The attributes of every object that the request lists. Raises DumpInterruptedError."""
        self._sequence += 1
        flags = _REQUEST | _DUMP
        self._socket.send(self._packed(_NFTABLES << 8 | message.kind, flags, self._sequence, message.body))
        found: list[bytes] = []
        while True:
            for kind, answer_flags, sequence, body in _messages(self._socket.recv(_BUFFER)):
                if sequence != self._sequence:
                    continue  # left over from a request that was given up
                if answer_flags & _DUMP_INTERRUPTED:
                    raise DumpInterruptedError
                if kind in (_ERROR, _DONE):
                    _raise_error(body)
                    return found
                found.append(body[_NFGENMSG.size :])

    def exists(self, message: Message) -> bool:
        """Whether the one object that the request names is there."""
        self._sequence += 1
        flags = _REQUEST | _ACKNOWLEDGE
        self._socket.send(self._packed(_NFTABLES << 8 | message.kind, flags, self._sequence, message.body))
        try:
            self._wait_for({self._sequence})
        except FileNotFoundError:
            return False
        return True

    def commit(self, messages: Iterable[Message]) -> None:
        """Run all requests as one transaction: either every one counts or none."""
        first = self._sequence + 1
        parts = [self._packed(_BATCH_BEGIN, _REQUEST, first, b"", resource=_NFTABLES)]
        for number, message in enumerate(messages, first + 1):
            flags = _REQUEST | _ACKNOWLEDGE | message.flags
            parts.append(self._packed(_NFTABLES << 8 | message.kind, flags, number, message.body))
        self._sequence = first + len(parts)
        parts.append(self._packed(_BATCH_END, _REQUEST, self._sequence, b"", resource=_NFTABLES))
        self._socket.send(b"".join(parts))
        self._wait_for(set(range(first, self._sequence + 1)), answered=set(range(first + 1, self._sequence)))

    def _wait_for(self, numbers: set[int], answered: set[int] | None = None) -> None:
        """Read until every request in `answered` (default: all) is acknowledged; an error of any is raised."""
        expected = numbers if answered is None else answered
        while expected:
            for kind, _, sequence, body in _messages(self._socket.recv(_BUFFER)):
                if kind == _ERROR and sequence in numbers:
                    _raise_error(body)
                    expected = expected - {sequence}

    def _packed(self, kind: int, flags: int, sequence: int, body: bytes, resource: int = 0) -> bytes:
        family = 0 if resource else self._family
        length = _HEADER.size + _NFGENMSG.size + len(body)
        return _HEADER.pack(length, kind, flags, sequence, 0) + _NFGENMSG.pack(family, 0, resource) + body


def attributes(data: bytes) -> dict[int, bytes]:
    """A packed list of attributes by number; of a repeated one the last."""
    return dict(attribute_list(data))


def attribute_list(data: bytes) -> Iterator[tuple[int, bytes]]:
    """A packed list of attributes in order."""
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        yield kind & 0x3FFF, data[offset + _ATTRIBUTE.size : offset + length]  # without NLA_F_NESTED
        offset += _aligned(max(length, _ATTRIBUTE.size))


def attribute(kind: int, data: bytes, *, nested: bool = False) -> bytes:
    """One packed attribute."""
    length = _ATTRIBUTE.size + len(data)
    return _ATTRIBUTE.pack(length, kind | (0x8000 if nested else 0)) + data + bytes(_aligned(length) - length)


def text(kind: int, value: str) -> bytes:
    """One packed attribute with a terminated string."""
    return attribute(kind, value.encode() + b"\0")


def _messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        yield kind, flags, sequence, data[offset + _HEADER.size : offset + length]
        offset += _aligned(max(length, _HEADER.size))


def _raise_error(body: bytes) -> None:
    code: int = struct.unpack_from("=i", body)[0] if len(body) >= 4 else 0
    if code < 0:
        raise OSError(-code, os.strerror(-code))


def _aligned(length: int) -> int:
    return (length + 3) & ~3
