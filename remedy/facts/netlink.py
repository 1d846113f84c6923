"""Dumps over netlink: one request, all answers. Just what sock_diag and conntrack need.

The kernel's own interface is used where a program would be slower or missing: `conntrack` is rarely
installed, /proc/net/nf_conntrack takes quadratic time on kernels before 2025, and /proc/net/tcp6 does not say
whether a socket takes IPv4 as well.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

NETLINK_NETFILTER = 12

NLM_F_REQUEST_DUMP = 0x301
NLMSG_ERROR = 2
_DUMP_INTERRUPTED = 0x10
NLMSG_DONE = 3
# The kernel fills at most 32 KiB at a time, whatever is offered.
_BUFFER = 65536
_TIMEOUT_SECONDS = 10.0
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_NESTED_AND_ORDER_FLAGS = 0xC000


def dump(protocol: int, message_type: int, payload: bytes) -> Iterator[bytes]:
    """Ask for a dump in the calling thread's network namespace and give the datagrams as they come.

    Stopping early is fine: the socket is closed with the generator. Raises OSError as the kernel answers.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol) as channel:
        channel.settimeout(_TIMEOUT_SECONDS)
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        channel.bind((0, 0))
        header = _HEADER.pack(_HEADER.size + len(payload), message_type, NLM_F_REQUEST_DUMP, 1, 0)
        channel.send(header + payload)
        while True:
            datagram = channel.recv(_BUFFER)
            yield datagram
            if _is_last(datagram):
                return


def messages(datagram: bytes) -> Iterator[bytes]:
    """Split a datagram into the payloads of its messages."""
    position = 0
    while position + _HEADER.size <= len(datagram):
        length, kind = struct.unpack_from("=IH", datagram, position)
        if length < _HEADER.size:
            return
        if kind > NLMSG_DONE:
            yield datagram[position + _HEADER.size : position + length]
        position += (length + 3) & ~3


def is_interrupted(datagram: bytes) -> bool:
    """Whether the kernel says that what it dumps has changed meanwhile (NLM_F_DUMP_INTR)."""
    position = 0
    while position + _HEADER.size <= len(datagram):
        length, _, flags = struct.unpack_from("=IHH", datagram, position)
        if flags & _DUMP_INTERRUPTED:
            return True
        if length < _HEADER.size:
            return False
        position += (length + 3) & ~3
    return False


def attributes(payload: bytes, position: int) -> Iterator[tuple[int, bytes]]:
    """Give (type, value) of each attribute from `position` on."""
    while position + _ATTRIBUTE.size <= len(payload):
        length, kind = _ATTRIBUTE.unpack_from(payload, position)
        if length < _ATTRIBUTE.size:
            return
        yield kind & ~_NESTED_AND_ORDER_FLAGS, payload[position + _ATTRIBUTE.size : position + length]
        position += (length + 3) & ~3


def _is_last(datagram: bytes) -> bool:
    """Whether the datagram ends the dump. Raises OSError when the kernel says that it failed.

    DONE comes alone or after the last answers; datagrams are many and are not walked through for it.
    """
    kind = struct.unpack_from("=IH", datagram)[1] if len(datagram) >= _HEADER.size else NLMSG_DONE
    if kind == NLMSG_ERROR:
        _raise_errno(datagram, _HEADER.size)
    if kind == NLMSG_DONE:
        # Its payload is what the dump ended with; short ones are of old kernels.
        _raise_errno(datagram, _HEADER.size)
        return True
    tail = len(datagram) - _HEADER.size - 4
    return tail > 0 and struct.unpack_from("=IH", datagram, tail) == (_HEADER.size + 4, NLMSG_DONE)


def _raise_errno(datagram: bytes, position: int) -> None:
    number = -struct.unpack_from("=i", datagram, position)[0] if len(datagram) >= position + 4 else 0
    if number > 0:
        raise OSError(number, os.strerror(number))
