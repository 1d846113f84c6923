"""The conntrack table: how full it is, and which of its flows go through a published port.

Entries come over ctnetlink: `conntrack` is rarely installed, and /proc/net/nf_conntrack takes time that
grows with the square of the table's size before Linux 6.15. Nobody else's traffic is kept.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from remedy.facts.model import Address, ConntrackEntry, ConntrackFacts
from remedy.facts.netlink import attributes, dump, messages

NETLINK_NETFILTER = 12
CONNTRACK_GET = (1 << 8) | 1
MAXIMUM_ENTRIES = 20_000
_NFGENMSG_ANY_FAMILY = b"\0\0\0\0"
_NFGENMSG_BYTES = 4
_TUPLE_ORIGINAL, _TUPLE_REPLY, _STATUS, _PROTOINFO = 1, 2, 3, 4
_SEEN_REPLY = 1 << 1
_PROTOCOLS = {6: "tcp", 17: "udp", 132: "sctp", 1: "icmp", 58: "icmpv6", 136: "udplite", 33: "dccp"}
_TCP_STATES = (
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
)
_SCTP_STATES = (
    "NONE",
    "CLOSED",
    "COOKIE_WAIT",
    "COOKIE_ECHOED",
    "ESTABLISHED",
    "SHUTDOWN_SENT",
    "SHUTDOWN_RECD",
    "SHUTDOWN_ACK_SENT",
)

AddressAndPort = tuple[Address, int]


@dataclass(frozen=True, slots=True)
class Interest:
    """Whose flows are kept: those to a published port of a host address, and those to a container's own port.

    host_ports: published ports; host_addresses: where they may be asked for; targets: (container, port).
    """

    host_ports: frozenset[int]
    host_addresses: frozenset[Address]
    targets: frozenset[AddressAndPort]

    @property
    def ports(self) -> frozenset[int]:
        """All port numbers that can be meant."""
        return self.host_ports | {port for _, port in self.targets}

    def covers(self, entry: ConntrackEntry) -> bool:
        """Whether the flow goes through a published port."""
        if entry.destination_port is None:
            return False
        asked = (entry.destination, entry.destination_port)
        answers = (entry.reply_source, entry.reply_source_port)
        return (
            asked in self.targets
            or answers in self.targets
            or (entry.destination_port in self.host_ports and entry.destination in self.host_addresses)
        )


def read_conntrack(sysctls: dict[str, str], interest: Interest) -> ConntrackFacts:
    """Read the table of the calling thread's namespace."""
    count = _number(sysctls, "net.netfilter.nf_conntrack_count")
    entries: tuple[ConntrackEntry, ...] = ()
    complete = True
    # Without the sysctl connection tracking is not loaded: asking for entries would load it.
    if count is not None and interest.ports:
        datagrams = dump(NETLINK_NETFILTER, CONNTRACK_GET, _NFGENMSG_ANY_FAMILY)
        entries, complete = merge_entries(find_entries(datagrams, interest))
    return ConntrackFacts(
        count=count,
        maximum=_number(sysctls, "net.netfilter.nf_conntrack_max"),
        buckets=_number(sysctls, "net.netfilter.nf_conntrack_buckets"),
        entries=entries,
        entries_complete=complete,
    )


def find_entries(datagrams: Iterable[bytes], interest: Interest) -> Iterator[ConntrackEntry]:
    """Read ctnetlink datagrams and give the flows that are of interest.

    A table may hold hundreds of thousands: a datagram without any of the ports is not taken apart.
    """
    mark = _any_destination_port(interest.ports)
    for datagram in datagrams:
        if mark.search(datagram) is None:
            continue
        for payload in messages(datagram):
            if mark.search(payload) is not None:
                entry = parse_entry(payload)
                if entry is not None and interest.covers(entry):
                    yield entry


def parse_entry(payload: bytes) -> ConntrackEntry | None:
    """Read one conntrack message; None for what is no flow between two ports."""
    parts = dict(attributes(payload, _NFGENMSG_BYTES))
    original, reply = _parse_tuple(parts.get(_TUPLE_ORIGINAL)), _parse_tuple(parts.get(_TUPLE_REPLY))
    if original is None or reply is None:
        return None
    status = struct.unpack("!I", parts[_STATUS])[0] if len(parts.get(_STATUS, b"")) == 4 else 0
    return ConntrackEntry(
        protocol=original.protocol,
        source=original.source,
        source_port=original.source_port,
        destination=original.destination,
        destination_port=original.destination_port,
        reply_source=reply.source,
        reply_source_port=reply.source_port,
        reply_destination=reply.destination,
        reply_destination_port=reply.destination_port,
        state=_parse_state(parts.get(_PROTOINFO)),
        unreplied=not status & _SEEN_REPLY,
    )


def merge_entries(
    entries: Iterable[ConntrackEntry], limit: int = MAXIMUM_ENTRIES
) -> tuple[tuple[ConntrackEntry, ...], bool]:
    """Make one entry of those that differ only in the client's port; (entries, whether these are all)."""
    first: dict[tuple[object, ...], ConntrackEntry] = {}
    counts: dict[tuple[object, ...], int] = {}
    complete = True
    for entry in entries:
        key = _all_but_client_port(entry)
        if key not in first and len(first) >= limit:
            complete = False
            continue
        first.setdefault(key, entry)
        counts[key] = counts.get(key, 0) + 1
    merged = (entry.model_copy(update={"count": counts[key]}) for key, entry in first.items())
    return tuple(sorted(merged, key=_order)), complete


@dataclass(frozen=True, slots=True)
class _Tuple:
    protocol: str
    source: Address
    destination: Address
    source_port: int | None
    destination_port: int | None


def _parse_tuple(value: bytes | None) -> _Tuple | None:
    parts = dict(attributes(value or b"", 0))
    addresses = dict(attributes(parts.get(1, b""), 0))
    transport = dict(attributes(parts.get(2, b""), 0))
    # CTA_IP_V4_SRC, _V4_DST, _V6_SRC, _V6_DST; CTA_PROTO_NUM, _SRC_PORT, _DST_PORT
    source, destination = addresses.get(1, addresses.get(3)), addresses.get(2, addresses.get(4))
    if source is None or destination is None or not transport.get(1):
        return None
    number = transport[1][0]
    return _Tuple(
        _PROTOCOLS.get(number, str(number)),
        ip_address(source),
        ip_address(destination),
        _port(transport.get(2)),
        _port(transport.get(3)),
    )


def _port(value: bytes | None) -> int | None:
    return int.from_bytes(value, "big") if value is not None and len(value) == 2 else None


def _parse_state(protoinfo: bytes | None) -> str | None:
    # CTA_PROTOINFO_TCP and _SCTP hold the state as their first attribute.
    for kind, value in attributes(protoinfo or b"", 0):
        names = {1: _TCP_STATES, 3: _SCTP_STATES}.get(kind)
        state = dict(attributes(value, 0)).get(1)
        if names and state:
            return names[state[0]] if state[0] < len(names) else str(state[0])
    return None


def _any_destination_port(ports: Collection[int]) -> re.Pattern[bytes]:
    # CTA_PROTO_DST_PORT is an attribute of 6 bytes, type 3, the port in network order.
    either = b"|".join(re.escape(struct.pack("!H", port)) for port in sorted(ports))
    return re.compile(re.escape(struct.pack("=HH", 6, 3)) + b"(?:" + either + b")", re.DOTALL)


def _all_but_client_port(entry: ConntrackEntry) -> tuple[object, ...]:
    return (
        entry.protocol,
        entry.source,
        entry.destination,
        entry.destination_port,
        entry.reply_source,
        entry.reply_source_port,
        entry.reply_destination,
        entry.state,
        entry.unreplied,
    )


def _order(entry: ConntrackEntry) -> tuple[object, ...]:
    return (entry.protocol, entry.destination_port or 0, *(str(part) for part in _all_but_client_port(entry)))


def _number(sysctls: dict[str, str], name: str) -> int | None:
    text = sysctls.get(name)
    return int(text) if text is not None and text.isdigit() else None
