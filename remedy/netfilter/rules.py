"""Firewall rules in one typed form, whoever wrote them: what each rule asks, what it does, and its own text."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from remedy.facts.model import Address
from remedy.netfilter.matches import Field, Match
from remedy.netfilter.packet import Family
from remedy.netfilter.values import Lookup, Values


class Hook(StrEnum):
    """Where in the kernel a base chain is called."""

    PREROUTING = "prerouting"
    INPUT = "input"
    FORWARD = "forward"
    OUTPUT = "output"
    POSTROUTING = "postrouting"


# --- what a rule does --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accept:
    """No further rule of this base chain is asked."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The packet is gone, and nobody hears of it."""


@dataclass(frozen=True, slots=True)
class Reject:
    """The packet is gone, and the sender is told: with "tcp-reset" or an ICMP message's name."""

    answer: str


@dataclass(frozen=True, slots=True)
class Return:
    """Back to the chain that jumped here; in a base chain its policy."""


@dataclass(frozen=True, slots=True)
class Jump:
    """On in another chain, and back here afterwards unless is_goto."""

    chain: str
    is_goto: bool = False


@dataclass(frozen=True, slots=True)
class Dnat:
    """Another destination; None: that part stays. ports: the first is taken, offset within a range unknown."""

    address: Address | None
    port: int | None
    is_certain: bool = True  # False for a range, of which the kernel takes any


@dataclass(frozen=True, slots=True)
class MappedDnat:
    """Destinations by a map: the fields, together, name the new address and port."""

    fields: tuple[Field, ...]
    elements: tuple[tuple[tuple[Values, ...], Dnat], ...]
    lookup: Lookup[Dnat] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lookup", Lookup(self.elements))


@dataclass(frozen=True, slots=True)
class Snat:
    """Another source address."""

    address: Address
    is_certain: bool = True


@dataclass(frozen=True, slots=True)
class Masquerade:
    """The source becomes the address of the interface by which the packet leaves."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """The destination becomes the host itself, at this port."""

    port: int | None


@dataclass(frozen=True, slots=True)
class SetMark:
    """mark = (mark & ~mask) ^ value, of the packet or (is_connection) of its conntrack entry."""

    value: int
    mask: int = 0xFFFFFFFF
    is_connection: bool = False


@dataclass(frozen=True, slots=True)
class CopyMark:
    """The connection's mark into the packet's, or (to_connection) the other way."""

    mask: int = 0xFFFFFFFF
    to_connection: bool = False


@dataclass(frozen=True, slots=True)
class Notrack:
    """conntrack does not see the packet, and nothing translates it."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """A side effect that decides nothing here: a counter, a log line."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class VerdictMap:
    """A verdict by the fields' values, nft's vmap; no element: on with the next statement."""

    fields: tuple[Field, ...]
    elements: tuple[tuple[tuple[Values, ...], Statement], ...]
    lookup: Lookup[Statement] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lookup", Lookup(self.elements))


@dataclass(frozen=True, slots=True)
class When:
    """Statements that are done only where these conditions hold, which stand behind others in the rule."""

    matches: tuple[Match, ...]
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class UnknownStatement:
    """Something that this model does not know; its text is kept."""

    text: str


Statement = (
    Accept
    | Drop
    | Reject
    | Return
    | Jump
    | Dnat
    | MappedDnat
    | Snat
    | Masquerade
    | Redirect
    | SetMark
    | CopyMark
    | Notrack
    | Nothing
    | VerdictMap
    | When
    | UnknownStatement
)


# --- rules and chains --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rule:
    """Conditions, then statements, in order; text is the rule as it was read, place where it stands."""

    matches: tuple[Match, ...]
    statements: tuple[Statement, ...]
    text: str
    place: str


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain that others jump to."""

    name: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class BaseChain:
    """A chain that the kernel calls: at which hook, in which order, and what it does at the chain's end."""

    chain: Chain
    hook: Hook
    priority: int
    kind: Literal["filter", "nat", "route"]
    policy: Accept | Drop


@dataclass(frozen=True, slots=True)
class RuleTable:
    """One table: `iptables filter`, `nft ip docker-bridges`. families: the IP versions whose packets it sees."""

    name: str
    families: tuple[Family, ...]
    base_chains: tuple[BaseChain, ...]
    chains: dict[str, Chain] = field(default_factory=dict)
