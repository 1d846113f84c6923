"""New flows as the kernel announces them: conntrack's multicast group, in the calling thread's namespace.

A connection that lasts a millisecond is in no list of sockets; its announcement is. Under heavy load the kernel drops
announcements that are not fetched in time, and says so.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address

from remedy.facts.model import Address, Protocol
from remedy.facts.netlink import NETLINK_NETFILTER

# linux/netfilter/nfnetlink_compat.h: NF_NETLINK_CONNTRACK_NEW
_GROUP_NEW = 1
_SO_RCVBUFFORCE = 33
_BUFFER_BYTES = 8 << 20
_MOST_AT_ONCE = 20_000
_PROTOCOLS = {6: Protocol.TCP, 17: Protocol.UDP, 132: Protocol.SCTP}
# From the netlink header on: the original tuple comes first, its parts in an order that has not changed since 2.6
# (net/netfilter/nf_conntrack_netlink.c, ctnetlink_conntrack_event and ctnetlink_dump_tuples).
_FAMILY_AT = 16
_PLACES: dict[int, tuple[slice, slice, int, slice]] = {
    socket.AF_INET: (slice(32, 36), slice(40, 44), 52, slice(68, 70)),
    socket.AF_INET6: (slice(32, 48), slice(52, 68), 76, slice(92, 94)),
}
_LONGEST = 94
_Key = tuple[bytes, bytes, int, int]


@dataclass(frozen=True, slots=True)
class NewFlow:
    """A flow without its client's port."""

    protocol: Protocol
    source: Address
    destination: Address
    port: int


class FlowEvents:
    """An open ear. is_complete turns False once the kernel had to drop an announcement."""

    def __init__(self) -> None:
        """Raises OSError without CAP_NET_ADMIN, or where the kernel has no conntrack events."""
        self._channel = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, NETLINK_NETFILTER
        )
        self.is_complete = True
        try:
            with suppress(OSError):  # needs CAP_NET_ADMIN in the first user namespace
                self._channel.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
            self._channel.bind((0, 1 << (_GROUP_NEW - 1)))
        except OSError:
            self._channel.close()
            raise

    def fileno(self) -> int:
        """For select()."""
        return self._channel.fileno()

    def close(self) -> None:
        """Stop listening."""
        self._channel.close()

    def read(self, ports: Collection[int]) -> Counter[NewFlow]:
        """Fetch what was announced since the last time, of flows to one of `ports`."""
        wanted = {struct.pack("!H", port) for port in ports}
        found: Counter[_Key] = Counter()
        for _ in range(_MOST_AT_ONCE):
            try:
                datagram = self._channel.recv(8192)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.is_complete = False
                continue
            key = parse_event(datagram, wanted)
            if key is not None:
                found[key] += 1
        return Counter({_flow(key): number for key, number in found.items() if key[2] in _PROTOCOLS})


def parse_event(datagram: bytes, wanted: Collection[bytes]) -> _Key | None:
    """Return (source, destination, protocol, port) of a flow to one of the `wanted` ports, each as two bytes."""
    if len(datagram) < _LONGEST:
        return None  # a flow without ports: its message is shorter
    places = _PLACES.get(datagram[_FAMILY_AT])
    if places is None:
        return None
    source, destination, protocol, port = places
    if datagram[port] not in wanted:
        return None
    return datagram[source], datagram[destination], datagram[protocol], int.from_bytes(datagram[port], "big")


def _flow(key: _Key) -> NewFlow:
    source, destination, protocol, port = key
    return NewFlow(_PROTOCOLS[protocol], ip_address(source), ip_address(destination), port)
