"""ipset's sets, from `ipset save`: what `-m set --match-set NAME src,dst` compares with (ipset(8))."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from remedy.facts.model import IpSet as SavedSet
from remedy.netfilter.values import Values

_PARTS = frozenset({"ip", "net", "port"})


@dataclass(frozen=True, slots=True)
class IpSet:
    """One set. parts: "ip" or "port" for each direction of a match; where there is a port, its protocol comes last.

    elements: values for each part, in that order.
    """

    parts: tuple[str, ...]
    elements: tuple[tuple[Values, ...], ...]


def known_sets(read: Iterable[SavedSet]) -> dict[str, IpSet]:
    """The sets to look packets up in, without those of kinds that are not known here: their rules stay undecided."""
    return {saved.name: found for saved in read if (found := _known(saved)) is not None}


def _known(saved: SavedSet) -> IpSet | None:
    kinds = tuple(saved.kind.partition(":")[2].split(","))
    if not set(kinds) <= _PARTS:
        return None
    elements = []
    for member in saved.members:
        words, *options = member.split()
        if "nomatch" in options:
            return None
        elements.append(_element(kinds, words.split(",")))
    return _set(kinds, elements)


def _set(kinds: Sequence[str], elements: Sequence[tuple[Values, ...]]) -> IpSet:
    parts = tuple("port" if kind == "port" else "ip" for kind in kinds)
    return IpSet((*parts, "protocol") if "port" in parts else parts, tuple(elements))


def _element(kinds: Sequence[str], words: Sequence[str]) -> tuple[Values, ...]:
    values: list[Values] = []
    protocol: Values | None = None
    for kind, word in zip(kinds, words, strict=True):
        if kind == "port":
            found, colon, ports = word.rpartition(":")
            # bitmap:port has no protocol, and takes TCP and UDP alike.
            protocol = Values.of(found) if colon else Values.of("tcp", "udp")
            values.append(_range(ports))
        else:
            values.append(_addresses(word))
    return tuple(values) if protocol is None else (*values, protocol)


def _range(text: str) -> Values:
    low, _, high = text.partition("-")
    return Values.within([(int(low), int(high or low))])


def _addresses(text: str) -> Values:
    low, dash, high = text.partition("-")
    if dash:
        return Values.within([(int(ip_address(low)), int(ip_address(high)))])
    network = ip_network(text, strict=False)
    return Values.within([(int(network.network_address), int(network.broadcast_address))])
