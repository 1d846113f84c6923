"""Single flows of the conntrack table, by what their client asked for: no dump of the table, however full it is."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from remedy.facts.conntrack import ANY_FAMILY, CONNTRACK_GET, KernelFlow, describe_flow, kernel_flows, original_tuples
from remedy.facts.model import Address
from remedy.facts.netlink import NETLINK_NETFILTER, dump

TCP, UDP = 6, 17
_REQUEST = 0x1
_ERROR = 2
_TIMEOUT_SECONDS = 2.0
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_NESTED = 0x8000
# linux/netfilter/nfnetlink_conntrack.h
_TUPLE_ORIGINAL, _TUPLE_IP, _TUPLE_PROTOCOL = 1, 1, 2
_PROTOCOL_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
_TUPLE_REPLY, _STATUS, _FILTER, _STATUS_MASK = 2, 3, 25, 26
_FILTER_REPLY = 2
_BY_SOURCE = struct.pack("=I", 1)  # CTA_FILTER_F_CTA_IP_SRC, net/netfilter/nf_internals.h
_NOTHING, _SEEN_REPLY = struct.pack("!I", 0), struct.pack("!I", 1 << 1)


@dataclass(frozen=True, slots=True)
class Question:
    """What a client asked for: its own end, and the one that it connected to."""

    protocol: int
    source: Address
    source_port: int
    destination: Address
    destination_port: int

    def packed(self) -> bytes:
        """The nfgenmsg and the original tuple, which name a flow to ctnetlink."""
        family = socket.AF_INET if self.source.version == 4 else socket.AF_INET6
        kind = 1 if self.source.version == 4 else 3  # CTA_IP_V4_SRC, CTA_IP_V6_SRC; the destination follows
        addresses = _attribute(kind, self.source.packed) + _attribute(kind + 1, self.destination.packed)
        ports = (
            _attribute(_PROTOCOL_NUMBER, bytes([self.protocol]))
            + _attribute(_SOURCE_PORT, struct.pack("!H", self.source_port))
            + _attribute(_DESTINATION_PORT, struct.pack("!H", self.destination_port))
        )
        tuple_ = _attribute(_TUPLE_IP | _NESTED, addresses) + _attribute(_TUPLE_PROTOCOL | _NESTED, ports)
        return struct.pack("!BBH", family, 0, 0) + _attribute(_TUPLE_ORIGINAL | _NESTED, tuple_)


@dataclass(frozen=True, slots=True)
class TranslatedFlow:
    """A flow that DNAT leads elsewhere: the question, the server that answers, and the client as it sees it."""

    question: Question
    server: Address
    server_port: int
    seen: Address
    seen_port: int


def find_translated(question: Question) -> TranslatedFlow | None:
    """Look one flow up in the calling thread's namespace; None when there is none, or no DNAT. Raises OSError."""
    body = question.packed()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER) as channel:
        channel.settimeout(_TIMEOUT_SECONDS)
        channel.send(_HEADER.pack(_HEADER.size + len(body), CONNTRACK_GET, _REQUEST, 1, 0) + body)
        answer = channel.recv(8192)
    if _HEADER.unpack_from(answer)[1] == _ERROR:
        number = -struct.unpack_from("=i", answer, _HEADER.size)[0]
        if number == errno.ENOENT:
            return None
        raise OSError(number, "conntrack does not tell of a flow")
    return next(_translated(answer, {question.destination_port}), None)


def read_translated(protocol: int, ports: Collection[int]) -> Iterator[TranslatedFlow]:
    """Read all flows of a protocol to one of `ports` that DNAT leads elsewhere: a dump of the table.

    Raises OSError.
    """
    for datagram in dump(NETLINK_NETFILTER, CONNTRACK_GET, ANY_FAMILY):
        yield from (flow for flow in _translated(datagram, ports) if flow.question.protocol == protocol)


def read_unanswered(server: Address, ports: Collection[int], *, udp: bool) -> Iterator[TranslatedFlow]:
    """Read the flows to one of `ports` that DNAT leads to this server, and that nobody has answered.

    udp: also the answered ones of UDP, which has no connections. The kernel leaves out the others, often thousands,
    where it can (by address from 5.8, by status from 5.15); an older one does not know the filters, and gives all.
    Raises OSError.
    """
    for datagram in dump(NETLINK_NETFILTER, CONNTRACK_GET, _answers_of(server, unanswered=not udp)):
        for flow, client_port in kernel_flows(datagram, ports):
            is_wanted = not flow.seen_reply or flow.protocol == UDP
            if is_wanted and flow.destination != flow.reply_source == server.packed:
                yield _translated_flow(flow, client_port)


def _answers_of(server: Address, *, unanswered: bool) -> bytes:
    family, kind = (socket.AF_INET, 1) if server.version == 4 else (socket.AF_INET6, 3)
    source = _attribute(_TUPLE_IP | _NESTED, _attribute(kind, server.packed))
    return (
        struct.pack("!BBH", family, 0, 0)
        + _attribute(_TUPLE_REPLY | _NESTED, source)
        + _attribute(_FILTER | _NESTED, _attribute(_FILTER_REPLY, _BY_SOURCE))
        + (_attribute(_STATUS, _NOTHING) + _attribute(_STATUS_MASK, _SEEN_REPLY) if unanswered else b"")
    )


@dataclass(frozen=True, slots=True)
class Ends:
    """Between whom flows are looked for: one client and one port of one server. protocol: its number."""

    protocol: int
    client: Address
    server: Address
    port: int


def read_between(wanted: Collection[Ends]) -> Iterator[tuple[Ends, Question]]:
    """Read the flows between these ends, whoever began them: a dump of the table.

    A connection that conntrack first sees in its middle may count as the server's (nf_conntrack_tcp_loose).
    Raises OSError.
    """
    there = {(e.protocol, e.client.packed, e.server.packed, struct.pack("!H", e.port)): e for e in wanted}
    back = {(e.protocol, e.server.packed, e.client.packed, struct.pack("!H", e.port)): e for e in wanted}
    for datagram in dump(NETLINK_NETFILTER, CONNTRACK_GET, ANY_FAMILY) if wanted else ():
        for source, destination, protocol, source_port, destination_port in original_tuples(datagram):
            ends = there.get((protocol, source, destination, destination_port))
            ends = ends or back.get((protocol, source, destination, source_port))
            if ends is not None:
                ports = int.from_bytes(source_port, "big"), int.from_bytes(destination_port, "big")
                yield ends, Question(protocol, ip_address(source), ports[0], ip_address(destination), ports[1])


def _translated(datagram: bytes, ports: Collection[int]) -> Iterator[TranslatedFlow]:
    for flow, client_port in kernel_flows(datagram, ports):
        if flow.destination != flow.reply_source:
            yield _translated_flow(flow, client_port)


def _translated_flow(flow: KernelFlow, client_port: tuple[bytes, bytes]) -> TranslatedFlow:
    entry = describe_flow(flow, client_port)
    return TranslatedFlow(
        Question(
            flow.protocol,
            entry.source,
            int.from_bytes(client_port[0], "big"),
            entry.destination,
            int.from_bytes(flow.destination_port, "big"),
        ),
        entry.reply_source,
        int.from_bytes(flow.reply_source_port, "big"),
        entry.reply_destination,
        int.from_bytes(client_port[1], "big"),
    )


def _attribute(kind: int, data: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(data)
    return _ATTRIBUTE.pack(length, kind) + data + bytes(-length % 4)
