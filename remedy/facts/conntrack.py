"""The conntrack table: how full it is, and which of its flows go through a published port.

Entries come over ctnetlink: `conntrack` is rarely installed, and /proc/net/nf_conntrack takes time that
grows with the square of the table's size on kernels before 2025. Nobody else's traffic is kept.
"""

from __future__ import annotations

import os
import re
import struct
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import ip_address
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from remedy.facts.conntrack_sizing import read_sizing
from remedy.facts.interest import Interest
from remedy.facts.model import ConntrackEntry, ConntrackFacts, ConntrackLosses
from remedy.facts.netlink import NETLINK_NETFILTER, dump
from remedy.host.conntrack_settings import BUCKETS, MAXIMUM

CONNTRACK_GET = (1 << 8) | 1
MAXIMUM_ENTRIES = 20_000
ANY_FAMILY = b"\0\0\0\0"
# A message is its netlink header, an nfgenmsg, then the attributes, the original tuple first.
_BYTES_BEFORE_ATTRIBUTES = 20
_SEEN_REPLY = 1 << 1
TCP = 6
# Of the thread's own namespace: /proc/net is the main thread's.
STATISTICS = Path("/proc/thread-self/net/stat/nf_conntrack")
_PROTOCOLS = {TCP: "tcp", 17: "udp", 33: "dccp", 132: "sctp", 136: "udplite"}
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


def read_conntrack(sysctls: dict[str, str], interest: Interest) -> ConntrackFacts:
    """Read the table of the calling thread's namespace."""
    count = _number(sysctls, "net.netfilter.nf_conntrack_count")
    entries: tuple[ConntrackEntry, ...] = ()
    complete = True
    ended = EndedConnections()
    # Without the sysctl connection tracking is not loaded: asking for entries would load it.
    if count is not None:
        datagrams = ended.counted(dump(NETLINK_NETFILTER, CONNTRACK_GET, ANY_FAMILY))
        entries, complete = find_entries(datagrams, interest)
    return ConntrackFacts(
        count=count,
        maximum=_number(sysctls, MAXIMUM),
        buckets=_number(sysctls, BUCKETS),
        entries=entries,
        entries_complete=complete,
        losses=None if count is None else _read_losses(),
        time_wait=None if count is None else ended.count,
        sizing=None if count is None else read_sizing(os.sysconf("SC_PAGE_SIZE")),
    )


class EndedConnections:
    """Counts the TCP flows in TIME_WAIT of a whole dump on its way: by bytes, because the table may be large."""

    def __init__(self) -> None:
        self.count = 0

    def counted(self, datagrams: Iterable[bytes]) -> Iterator[bytes]:
        """Pass the datagrams on."""
        for datagram in datagrams:
            self.count += datagram.count(_IN_TIME_WAIT)
            yield datagram


def _read_losses() -> ConntrackLosses | None:
    try:
        return parse_losses(STATISTICS.read_text())
    except (OSError, ValueError):
        return None


def parse_losses(text: str) -> ConntrackLosses | None:
    """Read the kernel's counters: names in the first line, then a line of hexadecimal numbers for each processor.

    The columns are found by their names, which kernels have added to; None where the wanted ones are missing.
    """
    names, *rows = [line.split() for line in text.splitlines()]
    wanted = ("drop", "early_drop", "insert_failed")
    if not set(wanted) <= set(names):
        return None
    places = [names.index(name) for name in wanted]
    drop, early_drop, insert_failed = (sum(int(row[place], 16) for row in rows) for place in places)
    return ConntrackLosses(drop=drop, early_drop=early_drop, insert_failed=insert_failed)


def find_entries(
    datagrams: Iterable[bytes], interest: Interest, limit: int = MAXIMUM_ENTRIES
) -> tuple[tuple[ConntrackEntry, ...], bool]:
    """Read ctnetlink datagrams: (the flows of interest, whether these are all of them).

    Hundreds of thousands of flows are common, so bytes are compared as long as possible: a datagram without any
    of the ports is not taken apart, and a flow that only differs in the client's port is only counted.
    """
    counts: dict[KernelFlow, int] = {}
    first: dict[KernelFlow, ConntrackEntry] = {}
    complete = True
    for flow, client_port, number in _grouped(datagrams, interest.ports):
        if flow in counts:
            counts[flow] += number
            continue
        entry = describe_flow(flow, client_port)
        wanted = _is_wanted(entry, interest)
        complete = complete and not (wanted and len(first) >= limit)
        if not wanted or len(first) < limit:
            counts[flow] = number
        if wanted and len(first) < limit:
            first[flow] = entry
    merged = (entry.model_copy(update={"count": counts[flow]}) for flow, entry in first.items())
    return tuple(sorted(merged, key=_order)), complete


def _grouped(
    datagrams: Iterable[bytes], ports: Collection[int]
) -> Iterator[tuple[KernelFlow, tuple[bytes, bytes], int]]:
    """Give flows with their number and the client's ports of the first: each datagram's that are alike as one."""
    mark, patterns = _any_destination_port(ports), _flow_patterns(_either(ports))
    for datagram in datagrams:
        if mark.search(datagram) is None:
            continue
        for mark_of_family, pattern in patterns:
            if mark_of_family in datagram:
                yield from _alike(datagram, pattern)


def _alike(datagram: bytes, pattern: re.Pattern[bytes]) -> Iterator[tuple[KernelFlow, tuple[bytes, bytes], int]]:
    """Count in C: a loop over 200,000 flows takes a second of Python."""
    rows = pattern.findall(datagram)
    if any(row[_PROTOCOL][0] == TCP and not row[_STATE] for row in rows):
        # Their states stand further behind, and are read one by one.
        yield from ((*_flow_of(match, datagram), 1) for match in pattern.finditer(datagram))
        return
    numbers = Counter(map(_WITHOUT_CLIENT_PORTS, rows))
    firsts = dict(zip(map(_WITHOUT_CLIENT_PORTS, reversed(rows)), reversed(rows), strict=True))
    for key, number in numbers.items():
        row = firsts[key]
        state = _known_state(row[_STATE]) if row[_PROTOCOL][0] == TCP else None
        yield *_kernel_flow(row, state), number


class KernelFlow(NamedTuple):
    """A flow as the kernel's bytes tell it, without the client's port."""

    source: bytes
    destination: bytes
    protocol: int
    destination_port: bytes
    reply_source: bytes
    reply_destination: bytes
    reply_source_port: bytes
    state: int | None
    seen_reply: bool


def kernel_flows(datagram: bytes, ports: Collection[int]) -> Iterator[tuple[KernelFlow, tuple[bytes, bytes]]]:
    """Give each flow to one of `ports` with the client's port as the client and as the server sees it.

    For a few flows, and other ports each time: no pattern is compiled for them. re keeps 512, of any size, and the
    watcher would have one more for each container that goes.
    """
    wanted = {struct.pack("!H", port) for port in ports}
    for mark, pattern in _flow_patterns(_ANY_PORT):
        if mark in datagram:
            found = (match for match in pattern.finditer(datagram) if match[_DESTINATION_PORT + 1] in wanted)
            yield from (_flow_of(match, datagram) for match in found)


# Of the groups of a flow's pattern: all but the client's ports, as it and as the server sees them.
_WITHOUT_CLIENT_PORTS = itemgetter(0, 1, 2, 4, 5, 6, 7, 9, 10)
_PROTOCOL, _DESTINATION_PORT, _STATE = 2, 4, 10


def _flow_of(match: re.Match[bytes], datagram: bytes) -> tuple[KernelFlow, tuple[bytes, bytes]]:
    groups = match.groups(default=b"")
    return _kernel_flow(groups, _tcp_state(match, datagram) if groups[_PROTOCOL][0] == TCP else None)


def _kernel_flow(groups: Sequence[bytes], state: int | None) -> tuple[KernelFlow, tuple[bytes, bytes]]:
    source, destination, protocol, source_port, destination_port, *reply, status, _ = groups
    reply_source, reply_destination, reply_source_port, reply_destination_port = reply
    seen_reply = bool(status[0] & _SEEN_REPLY)
    ends = (source, destination, protocol[0], destination_port, reply_source, reply_destination, reply_source_port)
    return KernelFlow(*ends, state, seen_reply), (source_port, reply_destination_port)


def _is_wanted(entry: ConntrackEntry, interest: Interest) -> bool:
    asked = (entry.destination, entry.destination_port or 0)
    answers = (entry.reply_source, entry.reply_source_port or 0)
    return interest.covers(asked) or answers in interest.targets


def describe_flow(flow: KernelFlow, client_port: tuple[bytes, bytes]) -> ConntrackEntry:
    """Return the flow as the facts have it; client_port: its bytes as the client and as the server sees it."""
    return ConntrackEntry(
        protocol=_PROTOCOLS.get(flow.protocol, str(flow.protocol)),
        source=ip_address(flow.source),
        source_port=int.from_bytes(client_port[0], "big"),
        destination=ip_address(flow.destination),
        destination_port=int.from_bytes(flow.destination_port, "big"),
        reply_source=ip_address(flow.reply_source),
        reply_source_port=int.from_bytes(flow.reply_source_port, "big"),
        reply_destination=ip_address(flow.reply_destination),
        reply_destination_port=int.from_bytes(client_port[1], "big"),
        state=None if flow.state is None else _TCP_STATES[flow.state],
        unreplied=not flow.seen_reply,
    )


def _tcp_state(match: re.Match[bytes], datagram: bytes) -> int | None:
    """The state; where counters or a time stamp stand before it, it is looked for inside the same message."""
    if match[_STATE + 1] is not None:
        return _known_state(match[_STATE + 1])
    start = match.start() - _BYTES_BEFORE_ATTRIBUTES
    length = struct.unpack_from("=I", datagram, start)[0] if start >= 0 else 0
    found = _PROTOINFO.search(datagram, match.end(), start + length)
    return None if found is None else _known_state(found[1])


def _known_state(state: bytes) -> int | None:
    return state[0] if state[0] < len(_TCP_STATES) else None


_ANY_PORT = b".."


def _attribute(length: int, kind: int) -> bytes:
    """Return the pattern of an attribute's header."""
    return re.escape(struct.pack("=HH", length, kind))


def _nested(kind: int) -> bytes:
    """Return the pattern of a nested attribute's header, of any length."""
    return b".." + re.escape(struct.pack("=H", kind | 0x8000))


def _tuple_pattern(kind: int, address_bytes: int, protocol: bytes, destination_port: bytes) -> bytes:
    """Return the pattern of CTA_TUPLE_ORIG (1) or _REPLY (2) of a protocol with ports.

    The order of these attributes has been the kernel's since 2.6 (net/netfilter/nf_conntrack_netlink.c,
    ctnetlink_dump_tuples): source, destination, protocol, ports, and the zone of one direction, if any.
    """
    first = 1 if address_bytes == 4 else 3
    address = b"(.{%d})" % address_bytes
    return b"".join(
        (
            _nested(kind),
            _nested(1),
            _attribute(4 + address_bytes, first) + address,
            _attribute(4 + address_bytes, first + 1) + address,
            _nested(2),
            _attribute(5, 1) + protocol + b"...",
            _attribute(6, 2) + b"(..)..",
            _attribute(6, 3) + b"(" + destination_port + b")..",
            b"(?:" + _attribute(6, 3) + b"....)?",
        )
    )


_ORIGINAL_TUPLES = tuple(re.compile(_tuple_pattern(1, size, b"(.)", _ANY_PORT), re.DOTALL) for size in (4, 16))


def original_tuples(datagram: bytes) -> Iterator[tuple[bytes, bytes, int, bytes, bytes]]:
    """Give what each flow's first packet had: source, destination, protocol, source port, destination port."""
    for pattern in _ORIGINAL_TUPLES:
        for match in pattern.finditer(datagram):
            source, destination, protocol, source_port, destination_port = match.groups()
            yield source, destination, protocol[0], source_port, destination_port


@lru_cache(maxsize=2)
def _flow_patterns(port: bytes) -> tuple[tuple[bytes, re.Pattern[bytes]], ...]:
    """For IPv4 and IPv6: bytes without which there is no such flow, and its pattern; port: that of its destination's.

    CTA_ZONE (18) may stand between the tuples and CTA_STATUS (3). Behind that come attributes of 32 bits (mark, id,
    use, timeout, in the kernel's order), then CTA_PROTOINFO (4), unless the kernel counts bytes or keeps times.
    """
    zone, status, number = _attribute(6, 18), _attribute(8, 3), re.escape(struct.pack("=H", 8)) + b".{6}"
    state = _nested(4) + _nested(1) + _attribute(5, 1) + b"(.)"
    patterns = []
    for size, first in ((4, 1), (16, 3)):
        tuples = _tuple_pattern(1, size, b"(.)", port) + _tuple_pattern(2, size, b".", b"..")
        rest = b"(?:%b....)?%b...(.)(?:%b)*(?:%b)?" % (zone, status, number, state)
        patterns.append((struct.pack("=HH", 4 + size, first), re.compile(tuples + rest, re.DOTALL)))
    return tuple(patterns)


# CTA_PROTOINFO > CTA_PROTOINFO_TCP > CTA_PROTOINFO_TCP_STATE
_PROTOINFO = re.compile(_nested(4) + _nested(1) + _attribute(5, 1) + b"(.)", re.DOTALL)
# The type of CTA_PROTOINFO_TCP, then its state: these bytes begin no other attribute (in a tuple, a nested 1 is
# followed by an address, and a protocol's number follows a nested 2).
_IN_TIME_WAIT = struct.pack("=HHHB", 1 | 0x8000, 5, 1, _TCP_STATES.index("TIME_WAIT"))


def _either(ports: Collection[int]) -> bytes:
    """Return the pattern of one of these ports; without any, of nothing."""
    return b"(?:" + (b"|".join(re.escape(struct.pack("!H", port)) for port in sorted(ports)) or b"(?!)") + b")"


def _any_destination_port(ports: Collection[int]) -> re.Pattern[bytes]:
    return re.compile(_attribute(6, 3) + _either(ports), re.DOTALL)


def _order(entry: ConntrackEntry) -> tuple[object, ...]:
    texts = (entry.source, entry.destination, entry.reply_source, entry.reply_destination, entry.state)
    return (entry.protocol, entry.destination_port, *map(str, texts), entry.unreplied)


def _number(sysctls: dict[str, str], name: str) -> int | None:
    text = sysctls.get(name)
    return int(text) if text is not None and text.isdigit() else None
