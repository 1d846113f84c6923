"""A packet as netfilter sees it, and what conntrack knows of its connection."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NamedTuple

from remedy.facts.model import Address

Family = Literal[4, 6]


class CtState(StrEnum):
    """conntrack's state of a packet, by iptables' names."""

    NEW = "NEW"
    ESTABLISHED = "ESTABLISHED"
    RELATED = "RELATED"
    INVALID = "INVALID"
    UNTRACKED = "UNTRACKED"


class Flow(NamedTuple):
    """One direction of a connection: addresses and ports as they stand in the packet."""

    source: Address
    source_port: int
    destination: Address
    destination_port: int

    def reversed(self) -> Flow:
        """The flow of an answer."""
        return Flow(self.destination, self.destination_port, self.source, self.source_port)


class Packet(NamedTuple):  # and no dataclass: every station of a journey makes another one, tuples quickest
    """The first packet of a connection, or the first answer to it (is_reply).

    original: the tuple of the connection's first packet, before any translation, which conntrack keeps.
    in_port and out_port: the bridge's ports (physdev), known only where bridge netfilter calls iptables.
    """

    family: Family
    protocol: str
    flow: Flow
    original: Flow
    state: CtState = CtState.NEW
    is_reply: bool = False
    in_interface: str | None = None
    out_interface: str | None = None
    in_port: str | None = None
    out_port: str | None = None
    mark: int = 0
    ct_mark: int = 0
    is_dnated: bool = False
    is_snated: bool = False
    tcp_flags: frozenset[str] = frozenset({"SYN"})
