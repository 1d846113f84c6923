"""The left sides of nft's conditions and the values that they are compared with, as fields and values of the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from remedy.netfilter.matches import Field, FieldMatch, Match, Never
from remedy.netfilter.values import Value, Values

Json = Any

_LARGEST = {Field.SOURCE_PORT: 65535, Field.DESTINATION_PORT: 65535}
_NUMBER_OF_PROTOCOL = {6: "tcp", 17: "udp", 132: "sctp", 1: "icmp", 58: "ipv6-icmp"}
_TRANSPORT = ("tcp", "udp", "sctp")


class NotKnownError(Exception):
    """An expression that this model does not know."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A left side: what it reads, and what it silently demands of the packet."""

    fields: tuple[Field, ...]
    demands: tuple[Match, ...] = ()
    mask: int | None = None


@dataclass(slots=True)
class Sets:
    """Named sets and maps of the table, with their raw elements."""

    elements: dict[str, list[Json]] = field(default_factory=dict)
    interfaces: dict[int, str] = field(default_factory=dict)


_META = {
    "iifname": Field.IN_INTERFACE,
    "oifname": Field.OUT_INTERFACE,
    "iif": Field.IN_INTERFACE,
    "oif": Field.OUT_INTERFACE,
    "l4proto": Field.PROTOCOL,
    "mark": Field.MARK,
    "nfproto": Field.FAMILY,
    "protocol": Field.FAMILY,
}
_CT = {"mark": Field.CT_MARK, "direction": Field.CT_DIRECTION, "state": Field.CT_STATE}
_CT_ORIGINAL = {
    "saddr": Field.ORIGINAL_SOURCE,
    "ip saddr": Field.ORIGINAL_SOURCE,
    "ip6 saddr": Field.ORIGINAL_SOURCE,
    "daddr": Field.ORIGINAL_DESTINATION,
    "ip daddr": Field.ORIGINAL_DESTINATION,
    "ip6 daddr": Field.ORIGINAL_DESTINATION,
    "proto-src": Field.ORIGINAL_SOURCE_PORT,
    "proto-dst": Field.ORIGINAL_DESTINATION_PORT,
}


def left_side(left: Json) -> Expression:
    """What the left side of a condition reads. Raises NotKnownError."""
    match left:
        case {"meta": {"key": key}} if key in _META:
            return Expression((_META[key],))
        case {"payload": {"protocol": protocol, "field": name}}:
            return _payload(protocol, name)
        case {"ct": {"key": key, "dir": "original"}} if key in _CT_ORIGINAL:
            return Expression((_CT_ORIGINAL[key],))
        case {"ct": {"key": key, **rest}} if key in _CT and not rest:
            return Expression((_CT[key],))
        case {"concat": [*parts]}:
            found = [left_side(part) for part in parts]
            if any(part.mask is not None for part in found):
                raise NotKnownError
            fields = tuple(field for part in found for field in part.fields)
            return Expression(fields, tuple(demand for part in found for demand in part.demands))
        case {"&": [inner, mask]}:
            masked = left_side(inner)
            return Expression(masked.fields, masked.demands, _number(masked.fields[0], mask))
        case _:
            raise NotKnownError


def _payload(protocol: str, name: str) -> Expression:
    addresses = {"saddr": Field.SOURCE, "daddr": Field.DESTINATION}
    ports = {"sport": Field.SOURCE_PORT, "dport": Field.DESTINATION_PORT}
    if protocol in ("ip", "ip6"):
        family = Values.of(4 if protocol == "ip" else 6)
        if name in ("protocol", "nexthdr"):
            return Expression((Field.PROTOCOL,), (FieldMatch(Field.FAMILY, family),))
        return Expression((addresses[name],), (FieldMatch(Field.FAMILY, family),))
    if protocol in (*_TRANSPORT, "th"):
        wanted = _TRANSPORT if protocol == "th" else (protocol,)
        return Expression((ports[name],), (FieldMatch(Field.PROTOCOL, Values.of(*wanted)),))
    if protocol in ("icmp", "icmpv6"):
        return Expression((Field.FAMILY,), (Never(protocol),))
    raise NotKnownError


def set_name(right: Json) -> str | None:
    """The name of a set or map that stands on the right (`@pairs`)."""
    return right[1:] if isinstance(right, str) and right.startswith("@") else None


def element(fields: Sequence[Field], item: Json, sets: Sets) -> tuple[Values, ...]:
    """An element of a set, with a value for each of the fields. Raises ValueError when there are not as many."""
    if isinstance(item, Mapping) and "elem" in item:
        item = item["elem"]["val"]
    parts = item["concat"] if isinstance(item, Mapping) and "concat" in item else [item]
    return tuple(_collected([_value(field, part, sets)]) for field, part in zip(fields, parts, strict=True))


def values_of(field: Field, op: str, right: Json, sets: Sets) -> Values:
    """The values on the right of `op` that one field is compared with. Raises NotKnownError."""
    items = right["set"] if isinstance(right, Mapping) and "set" in right else [right]
    found = [_value(field, item, sets) for item in items]
    if op in ("==", "!=", "in"):
        return _collected(found)
    bound, most = found[0], _LARGEST.get(field, 0xFFFFFFFF)
    if not isinstance(bound, int):
        raise NotKnownError
    ranges = {"<": (0, bound - 1), "<=": (0, bound), ">": (bound + 1, most), ">=": (bound, most)}
    return Values.within([ranges[op]])


def _collected(found: Iterable[Value | tuple[int, int] | Values]) -> Values:
    exact: set[Value] = set()
    ranges: list[tuple[int, int]] = []
    prefixes: list[str] = []
    for item in found:
        if isinstance(item, Values):
            prefixes += item.prefixes
            exact |= item.exact
        elif isinstance(item, tuple):
            ranges.append(item)
        else:
            exact.add(item)
    within = Values.within(ranges)
    return Values(within.exact | exact, within.ranges, tuple(prefixes))


def _value(field: Field, item: Json, sets: Sets) -> Value | tuple[int, int] | Values:
    match item:
        case {"elem": {"val": inner}}:
            return _value(field, inner, sets)
        case {"prefix": {"addr": address, "len": length}}:
            network = ip_network(f"{address}/{length}", strict=False)
            return int(network.network_address), int(network.broadcast_address)
        case {"range": [low, high]}:
            return _number(field, low), _number(field, high)
        case _:
            return _single(field, item, sets)


def _single(field: Field, item: Json, sets: Sets) -> Value | Values:
    if field in (Field.IN_INTERFACE, Field.OUT_INTERFACE):
        if isinstance(item, int):
            return sets.interfaces.get(item, f"interface {item}")
        name = str(item)
        return Values(prefixes=(name[:-1],)) if name.endswith("*") else name
    if field is Field.PROTOCOL:
        return _NUMBER_OF_PROTOCOL.get(item, str(item)) if isinstance(item, int) else _protocol(str(item))
    if field is Field.FAMILY:
        return {"ipv4": 4, "ipv6": 6, 2: 4, 10: 6, "ip": 4, "ip6": 6, 0x0800: 4, 0x86DD: 6}[item]
    if field is Field.CT_STATE:
        return str(item).upper()
    if field is Field.CT_DIRECTION:
        return {"original": "ORIGINAL", "reply": "REPLY", 0: "ORIGINAL", 1: "REPLY"}[item]
    return _number(field, item)


def _protocol(word: str) -> str:
    return "ipv6-icmp" if word == "icmpv6" else word


def _number(field: Field, item: Json) -> int:
    if isinstance(item, int):
        return item
    addresses = (Field.SOURCE, Field.DESTINATION, Field.ORIGINAL_SOURCE, Field.ORIGINAL_DESTINATION)
    return int(ip_address(item)) if field in addresses else int(item, 0)
