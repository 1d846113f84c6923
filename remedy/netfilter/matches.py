"""What a rule asks of a packet. Every match answers yes, no, or None: it cannot be told from here.

iptables' matches and nft's expressions become the same few values: a `FieldMatch` compares one or more fields of the
packet with a set of values, whatever wrote the rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from remedy.facts.model import Address
from remedy.netfilter.packet import Packet
from remedy.netfilter.values import Lookup, Value, Values

Truth = bool | None


class Surroundings(Protocol):
    """What a match may ask of the host beside the packet."""

    def address_type(self, address: Address, interface: str | None = None) -> str:
        """The routing table's kind of an address: LOCAL, UNICAST, BROADCAST, MULTICAST, BLACKHOLE ..."""
        ...

    def arrives_by_its_way_back(self, packet: Packet, *, strict: bool, by_mark: bool = False) -> Truth:
        """Whether the way back to the packet's source leaves by the interface it came from (or by any).

        by_mark: the packet's mark counts in the look-up.
        """
        ...


class Field(StrEnum):
    """A part of a packet that rules compare. Addresses, ports, marks are numbers, the rest words."""

    SOURCE = "source"
    DESTINATION = "destination"
    SOURCE_PORT = "source port"
    DESTINATION_PORT = "destination port"
    PROTOCOL = "protocol"
    FAMILY = "family"
    IN_INTERFACE = "in interface"
    OUT_INTERFACE = "out interface"
    IN_PORT = "in bridge port"
    OUT_PORT = "out bridge port"
    MARK = "mark"
    CT_MARK = "connection mark"
    CT_STATE = "connection state"
    CT_STATUS = "connection status"
    CT_DIRECTION = "connection direction"
    ORIGINAL_SOURCE = "original source"
    ORIGINAL_DESTINATION = "original destination"
    ORIGINAL_SOURCE_PORT = "original source port"
    ORIGINAL_DESTINATION_PORT = "original destination port"
    SOURCE_TYPE = "source type"
    DESTINATION_TYPE = "destination type"
    REVERSE_PATH = "reverse path"


def _direction(packet: Packet) -> str:
    return "REPLY" if packet.is_reply else "ORIGINAL"


def _status(packet: Packet) -> str:
    return ("DNAT" if packet.is_dnated else "") + ("SNAT" if packet.is_snated else "")


Read = Callable[[Packet, Surroundings], Value | None]

READ: dict[Field, Read] = {
    Field.SOURCE: lambda p, _: int(p.flow.source),
    Field.DESTINATION: lambda p, _: int(p.flow.destination),
    Field.SOURCE_PORT: lambda p, _: p.flow.source_port,
    Field.DESTINATION_PORT: lambda p, _: p.flow.destination_port,
    Field.PROTOCOL: lambda p, _: p.protocol,
    Field.FAMILY: lambda p, _: p.family,
    Field.IN_INTERFACE: lambda p, _: p.in_interface or "",
    Field.OUT_INTERFACE: lambda p, _: p.out_interface or "",
    Field.IN_PORT: lambda p, _: p.in_port or "",
    Field.OUT_PORT: lambda p, _: p.out_port or "",
    Field.MARK: lambda p, _: p.mark,
    Field.CT_MARK: lambda p, _: p.ct_mark,
    Field.CT_STATE: lambda p, _: p.state.value,
    Field.CT_STATUS: lambda p, _: _status(p),
    Field.CT_DIRECTION: lambda p, _: _direction(p),
    Field.ORIGINAL_SOURCE: lambda p, _: int(p.original.source),
    Field.ORIGINAL_DESTINATION: lambda p, _: int(p.original.destination),
    Field.ORIGINAL_SOURCE_PORT: lambda p, _: p.original.source_port,
    Field.ORIGINAL_DESTINATION_PORT: lambda p, _: p.original.destination_port,
    Field.SOURCE_TYPE: lambda p, host: host.address_type(p.flow.source),
    Field.DESTINATION_TYPE: lambda p, host: host.address_type(p.flow.destination),
}


class Match(Protocol):
    """One condition of a rule."""

    def matches(self, packet: Packet, host: Surroundings) -> Truth:
        """Yes, no, or None where it cannot be told."""
        ...


@dataclass(frozen=True, slots=True)
class FieldMatch:
    """One field of the packet is (or is not) among the values, after masking."""

    field: Field
    values: Values
    negated: bool = False
    mask: int | None = None

    def matches(self, packet: Packet, host: Surroundings) -> Truth:
        """Never None: the field and the values are known."""
        value = READ[self.field](packet, host)
        if value is None:
            return self.negated
        if self.mask is not None and isinstance(value, int):
            value &= self.mask
        return (value in self.values) is not self.negated


@dataclass(frozen=True, slots=True)
class StateMatch:
    """`--ctstate`: any of these states; DNAT and SNAT among them mean the connection was translated."""

    states: frozenset[str]
    negated: bool = False

    def matches(self, packet: Packet, _host: Surroundings) -> Truth:
        """Never None."""
        found = packet.state.value in self.states
        found = found or (packet.is_dnated and "DNAT" in self.states) or (packet.is_snated and "SNAT" in self.states)
        return found is not self.negated


@dataclass(frozen=True, slots=True)
class TcpFlagsMatch:
    """`--tcp-flags MASK COMPARED`: of the flags in mask, exactly these are set."""

    mask: frozenset[str]
    compared: frozenset[str]
    negated: bool = False

    def matches(self, packet: Packet, _host: Surroundings) -> Truth:
        """Never None; no for another protocol."""
        return packet.protocol == "tcp" and ((packet.tcp_flags & self.mask) == self.compared) is not self.negated


@dataclass(frozen=True, slots=True)
class SetMatch:
    """The fields, together, are an element of a named set; elements None: the set's content is not known."""

    name: str
    fields: tuple[Field, ...]
    elements: tuple[tuple[Values, ...], ...] | None
    negated: bool = False
    _lookup: Lookup[bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_lookup", Lookup((element, True) for element in self.elements or ()))

    def matches(self, packet: Packet, host: Surroundings) -> Truth:
        """None for a set whose content was not read."""
        if self.elements is None:
            return None
        key = [READ[field](packet, host) for field in self.fields]
        return (self._lookup.find(key) is True) is not self.negated


@dataclass(frozen=True, slots=True)
class ReversePathMatch:
    """`-m rpfilter` and `fib saddr . iif oif`: whether the source's way back is the way the packet came."""

    strict: bool = True
    negated: bool = False
    by_mark: bool = False

    def matches(self, packet: Packet, host: Surroundings) -> Truth:
        """None where the routes cannot tell."""
        found = host.arrives_by_its_way_back(packet, strict=self.strict, by_mark=self.by_mark)
        return None if found is None else found is not self.negated


@dataclass(frozen=True, slots=True)
class Never:
    """A condition that no packet of a connection to a port fulfils, `-m icmp` for one."""

    why: str = ""

    def matches(self, _packet: Packet, _host: Surroundings) -> Truth:
        """No."""
        return False


@dataclass(frozen=True, slots=True)
class Perhaps:
    """A condition that is true at times: a rate limit, a random choice, the time of day."""

    text: str

    def matches(self, _packet: Packet, _host: Surroundings) -> Truth:
        """Unknown."""
        return None


@dataclass(frozen=True, slots=True)
class UnknownMatch:
    """A condition that this model does not know; its text is kept."""

    text: str

    def matches(self, _packet: Packet, _host: Surroundings) -> Truth:
        """Unknown."""
        return None
