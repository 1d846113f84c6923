"""What an nft rule asks of a packet, as matches."""

from __future__ import annotations

from collections.abc import Mapping

from remedy.netfilter.matches import (
    Field,
    FieldMatch,
    Match,
    Perhaps,
    ReversePathMatch,
    SetMatch,
    StateMatch,
    TcpFlagsMatch,
)
from remedy.netfilter.nft_expressions import (
    Expression,
    Json,
    NotKnownError,
    Sets,
    element,
    left_side,
    set_name,
    values_of,
)
from remedy.netfilter.nft_words import item_words
from remedy.netfilter.values import Values


def condition(kind: str, value: Json, sets: Sets) -> list[Match] | None:
    """The matches of one item of a rule; None for what is none.

    Raises NotKnownError, and ValueError, KeyError, TypeError or IndexError for what is formed otherwise.
    """
    if kind in _BY_CHANCE:
        return [Perhaps(item_words({kind: value}))]
    if kind != "match":
        return None
    left, op, right = value["left"], value["op"], value["right"]
    if _is_by_chance(left):
        return [Perhaps(item_words({kind: value}))]
    if _is_tcp_flags(left):
        return [_tcp_flags(left, op, right)]
    if isinstance(left, Mapping) and "fib" in left:
        return [_fib(left["fib"], op, right)]
    if isinstance(left, Mapping) and left.get("ct", {}).get("key") in ("state", "status"):
        return [_state(op, right)]
    expression = left_side(left)
    if len(expression.fields) > 1 or set_name(right) is not None:
        return [*expression.demands, _element_match(expression, op, right, sets)]
    values = values_of(expression.fields[0], op, right, sets)
    negated = op == "!="
    return [*expression.demands, FieldMatch(expression.fields[0], values, negated, expression.mask)]


_BY_CHANCE = ("limit", "quota", "connlimit", "ct count")
# What facts cannot tell of a connection, or what differs from packet to packet.
_META_BY_CHANCE = frozenset(
    {"skuid", "skgid", "cgroup", "random", "time", "day", "hour", "length", "cpu", "rtclassid", "priority"}
)


def _is_by_chance(left: Json) -> bool:
    match left:
        case {"meta": {"key": key}}:
            return key in _META_BY_CHANCE
        case {"numgen": _} | {"socket": _} | {"osf": _} | {"rt": _}:
            return True
        case {"ct": {"key": key}}:
            return key in ("bytes", "packets", "avgpkt", "expiration")
        case _:
            return False


def _is_tcp_flags(left: Json) -> bool:
    match left:
        case {"payload": {"protocol": "tcp", "field": "flags"}}:
            return True
        case {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, _]}:
            return True
        case _:
            return False


def _tcp_flags(left: Json, op: str, right: Json) -> Match:
    """`tcp flags syn` and `tcp flags & (syn | ack) == syn`; "in" means: any of these."""
    words = _flags(right)
    if "&" in left and op in ("==", "!="):
        return TcpFlagsMatch(_flags(left["&"][1]), words, op == "!=")
    if "&" not in left and op == "in":
        return TcpFlagsMatch(words, frozenset(), negated=True)
    if "&" not in left and op == "==":
        return TcpFlagsMatch(_ALL_FLAGS, words)
    raise NotKnownError


_ALL_FLAGS = frozenset({"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECN", "CWR"})


def _flags(value: Json) -> frozenset[str]:
    match value:
        case 0:
            return frozenset()
        case str():
            return frozenset({value.upper()})
        case [*parts] | {"|": [*parts]}:
            return frozenset(flag for part in parts for flag in _flags(part))
        case _:
            raise NotKnownError


def _element_match(expression: Expression, op: str, right: Json, sets: Sets) -> Match:
    if expression.mask is not None:
        raise NotKnownError
    name = set_name(right)
    items = sets.elements.get(name) if name is not None else right.get("set", [right])
    elements = None if items is None else tuple(element(expression.fields, item, sets) for item in items)
    return SetMatch(name or "", expression.fields, elements, op == "!=")


def _state(op: str, right: Json) -> Match:
    words = right["set"] if isinstance(right, Mapping) and "set" in right else right
    words = [words] if isinstance(words, str) else words
    return StateMatch(frozenset(str(word).upper() for word in words), op == "!=")


def _fib(fib: Mapping[str, Json], op: str, right: Json) -> Match:
    flags = [fib["flags"]] if isinstance(fib["flags"], str) else list(fib["flags"])
    if fib["result"] == "type" and flags in (["daddr"], ["saddr"]):
        field = Field.DESTINATION_TYPE if flags == ["daddr"] else Field.SOURCE_TYPE
        words = right["set"] if isinstance(right, Mapping) and "set" in right else [right]
        return FieldMatch(field, Values.of(*(str(word).upper() for word in words)), op == "!=")
    if fib["result"] == "oif" and "saddr" in flags and right in (False, "missing", 0):
        # `fib saddr . iif oif missing drop`: no way back by the interface that it came in by.
        return ReversePathMatch(strict="iif" in flags, negated=op != "!=", by_mark="mark" in flags)
    raise NotKnownError
