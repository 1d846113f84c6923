"""`nft -j list` output of one table as typed rules (libnftables-json(5)). What is not known keeps its text.

Some chains of iptables-nft appear in the same JSON with `xt` expressions; these tables are read as iptables-save text
instead and never come here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, Literal

from remedy.netfilter.matches import (
    Field,
    FieldMatch,
    Match,
    Never,
    Perhaps,
    ReversePathMatch,
    SetMatch,
    StateMatch,
    TcpFlagsMatch,
    UnknownMatch,
)
from remedy.netfilter.nft_words import item_words, rule_words
from remedy.netfilter.packet import Family
from remedy.netfilter.rules import (
    Accept,
    BaseChain,
    Chain,
    CopyMark,
    Dnat,
    Drop,
    Hook,
    Jump,
    MappedDnat,
    Masquerade,
    Nothing,
    Notrack,
    Redirect,
    Reject,
    Return,
    Rule,
    RuleTable,
    SetMark,
    Snat,
    Statement,
    UnknownStatement,
    VerdictMap,
    When,
)
from remedy.netfilter.values import Value, Values

Json = Any
_FAMILIES: dict[str, tuple[Family, ...]] = {"ip": (4,), "ip6": (6,), "inet": (4, 6)}
_HOOKS = {hook.value: hook for hook in Hook}
_LARGEST = {Field.SOURCE_PORT: 65535, Field.DESTINATION_PORT: 65535}
_NUMBER_OF_PROTOCOL = {6: "tcp", 17: "udp", 132: "sctp", 1: "icmp", 58: "ipv6-icmp"}
_TRANSPORT = ("tcp", "udp", "sctp")


class _NotKnown(Exception):
    """An expression that this model does not know."""


@dataclass(frozen=True, slots=True)
class _Expression:
    """A left side: what it reads, and what it silently demands of the packet."""

    fields: tuple[Field, ...]
    demands: tuple[Match, ...] = ()
    mask: int | None = None


@dataclass(slots=True)
class _Sets:
    """Named sets and maps of the table, with their raw elements."""

    elements: dict[str, list[Json]] = field(default_factory=dict)
    interfaces: dict[int, str] = field(default_factory=dict)


def table_from_nft(name: str, items: Sequence[Json], interfaces: Mapping[int, str]) -> RuleTable | None:
    """One table; name is "FAMILY NAME"; interfaces: names by index, which `iif` and `oif` compare.

    None for tables that IP packets do not meet (arp, bridge, netdev).
    """
    family, _, own_name = name.partition(" ")
    if family not in _FAMILIES:
        return None
    sets = _Sets(interfaces=dict(interfaces))
    chains: dict[str, Mapping[str, Json]] = {}
    rules: dict[str, list[Mapping[str, Json]]] = {}
    for item in items:
        for kind, value in item.items():
            if not isinstance(value, Mapping) or value.get("table", own_name) != own_name:
                continue
            if kind == "chain":
                chains[value["name"]] = value
            elif kind == "rule":
                rules.setdefault(value["chain"], []).append(value)
            elif kind in ("set", "map"):
                sets.elements[value["name"]] = list(value.get("elem", ()))
    typed = {
        chain: Chain(chain, tuple(_rule(rule, sets, f"nft {name} {chain} {n}") for n, rule in enumerate(own, 1)))
        for chain, own in ((chain, rules.get(chain, [])) for chain in chains)
    }
    bases = tuple(_base(chain, typed[key]) for key, chain in chains.items() if chain.get("hook") in _HOOKS)
    return RuleTable(f"nft {name}", _FAMILIES[family], bases, typed)


def _base(chain: Mapping[str, Json], typed: Chain) -> BaseChain:
    kind: Literal["filter", "nat", "route"] = chain.get("type", "filter")
    policy = Drop() if chain.get("policy") == "drop" else Accept()
    return BaseChain(typed, _HOOKS[chain["hook"]], int(chain.get("prio", 0)), kind, policy)


def _rule(rule: Mapping[str, Json], sets: _Sets, place: str) -> Rule:
    expressions = [item for item in rule.get("expr", ()) if "counter" not in item]
    matches: list[Match] = []
    statements: list[Statement] = []
    for item in expressions:
        found = _item(item, sets)
        if isinstance(found, list):
            if statements:
                rest = _rest(expressions[expressions.index(item) :], sets)
                statements.append(rest)
                break
            matches += found
        else:
            statements.append(found)
    return Rule(tuple(matches), tuple(statements), rule_words(rule), place)


def _rest(items: Sequence[Json], sets: _Sets) -> Statement:
    """Conditions after a statement: what follows is done only where they hold."""
    rule = _rule({"expr": list(items)}, sets, "")
    return When(rule.matches, rule.statements)


def _item(item: Mapping[str, Json], sets: _Sets) -> list[Match] | Statement:
    kind, value = next(iter(item.items()))
    try:
        return _condition(kind, value, sets) or _statement(kind, value, sets)
    except (_NotKnown, ValueError, KeyError, TypeError, IndexError):
        if kind == "match":
            return [UnknownMatch(item_words(item))]
        return UnknownStatement(item_words(item))


# --- conditions --------------------------------------------------------------------------------------------------


def _condition(kind: str, value: Json, sets: _Sets) -> list[Match] | None:
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
    expression = _left(left)
    if len(expression.fields) > 1 or _set_name(right) is not None:
        return [*expression.demands, _element_match(expression, op, right, sets)]
    values = _values(expression.fields[0], op, right, sets)
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
    raise _NotKnown


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
            raise _NotKnown


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


def _left(left: Json) -> _Expression:
    match left:
        case {"meta": {"key": key}} if key in _META:
            return _Expression((_META[key],))
        case {"payload": {"protocol": protocol, "field": name}}:
            return _payload(protocol, name)
        case {"ct": {"key": key, "dir": "original"}} if key in _CT_ORIGINAL:
            return _Expression((_CT_ORIGINAL[key],))
        case {"ct": {"key": key, **rest}} if key in _CT and not rest:
            return _Expression((_CT[key],))
        case {"concat": [*parts]}:
            found = [_left(part) for part in parts]
            if any(part.mask is not None for part in found):
                raise _NotKnown
            fields = tuple(field for part in found for field in part.fields)
            return _Expression(fields, tuple(demand for part in found for demand in part.demands))
        case {"&": [inner, mask]}:
            masked = _left(inner)
            return _Expression(masked.fields, masked.demands, _number(masked.fields[0], mask))
        case _:
            raise _NotKnown


def _payload(protocol: str, name: str) -> _Expression:
    addresses = {"saddr": Field.SOURCE, "daddr": Field.DESTINATION}
    ports = {"sport": Field.SOURCE_PORT, "dport": Field.DESTINATION_PORT}
    if protocol in ("ip", "ip6"):
        family = Values.of(4 if protocol == "ip" else 6)
        if name in ("protocol", "nexthdr"):
            return _Expression((Field.PROTOCOL,), (FieldMatch(Field.FAMILY, family),))
        return _Expression((addresses[name],), (FieldMatch(Field.FAMILY, family),))
    if protocol in (*_TRANSPORT, "th"):
        wanted = _TRANSPORT if protocol == "th" else (protocol,)
        return _Expression((ports[name],), (FieldMatch(Field.PROTOCOL, Values.of(*wanted)),))
    if protocol in ("icmp", "icmpv6"):
        return _Expression((Field.FAMILY,), (Never(protocol),))
    raise _NotKnown


def _set_name(right: Json) -> str | None:
    return right[1:] if isinstance(right, str) and right.startswith("@") else None


def _element_match(expression: _Expression, op: str, right: Json, sets: _Sets) -> Match:
    if expression.mask is not None:
        raise _NotKnown
    name = _set_name(right)
    items = sets.elements.get(name) if name is not None else right.get("set", [right])
    elements = None if items is None else tuple(_element(expression.fields, item, sets) for item in items)
    return SetMatch(name or "", expression.fields, elements, op == "!=")


def _element(fields: Sequence[Field], item: Json, sets: _Sets) -> tuple[Values, ...]:
    if isinstance(item, Mapping) and "elem" in item:
        item = item["elem"]["val"]
    parts = item["concat"] if isinstance(item, Mapping) and "concat" in item else [item]
    return tuple(_collected([_value(field, part, sets)]) for field, part in zip(fields, parts, strict=True))


def _values(field: Field, op: str, right: Json, sets: _Sets) -> Values:
    items = right["set"] if isinstance(right, Mapping) and "set" in right else [right]
    found = [_value(field, item, sets) for item in items]
    if op in ("==", "!=", "in"):
        return _collected(found)
    bound, most = found[0], _LARGEST.get(field, 0xFFFFFFFF)
    if not isinstance(bound, int):
        raise _NotKnown
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


def _value(field: Field, item: Json, sets: _Sets) -> Value | tuple[int, int] | Values:
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


def _single(field: Field, item: Json, sets: _Sets) -> Value | Values:
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
    raise _NotKnown


# --- statements --------------------------------------------------------------------------------------------------

_WITHOUT_CONSEQUENCE = frozenset(
    {"counter", "log", "comment", "meter", "set", "flow", "ct helper", "ct timeout", "ct expectation", "continue"}
    | {"last", "secmark", "map"}
)
# Fields of packet or connection that may be set, and nothing here hangs on them.
_HARMLESS_MANGLING = ("tcp option", "ip option")
_HARMLESS_META = frozenset({"priority", "nftrace", "pkttype"})
_HARMLESS_PAYLOAD = frozenset({"dscp", "ecn", "ttl", "hoplimit", "flowlabel"})
_PLAIN: dict[str, Statement] = {
    "accept": Accept(),
    "drop": Drop(),
    "return": Return(),
    "masquerade": Masquerade(),
    "notrack": Notrack(),
}


def _statement(kind: str, value: Json, sets: _Sets) -> Statement:
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind in _WITHOUT_CONSEQUENCE:
        return Nothing(kind)
    match kind, value:
        case (("jump" | "goto"), {"target": target}):
            return Jump(target, is_goto=kind == "goto")
        case "reject", _:
            return _reject(value)
        case "redirect", _:
            return Redirect(value.get("port") if isinstance(value, Mapping) else None)
        case "dnat", _:
            return _dnat(value, sets)
        case "snat", {"addr": str(address)}:
            return Snat(ip_address(address))
        case "vmap", {"key": key, "data": data}:
            return _verdict_map(_left(key), data, sets)
        case "mangle", {"key": key, "value": new}:
            return Nothing(item_words({kind: value})) if _is_harmless(key) else _mark(key, new)
        case _:
            raise _NotKnown


def _reject(value: Json) -> Reject:
    if not isinstance(value, Mapping):
        return Reject("icmp-port-unreachable")
    if value.get("type") == "tcp reset":
        return Reject("tcp-reset")
    return Reject(f"icmp-{value.get('expr', 'port-unreachable')}")


def _dnat(words: Mapping[str, Json], sets: _Sets) -> Statement:
    address, port = words.get("addr"), words.get("port")
    match address:
        case {"map": {"key": key, "data": data}} if port is None:
            expression = _left(key)
            return MappedDnat(expression.fields, tuple(_mapped(expression, data, sets)))
        case str() | None if port is None or isinstance(port, int):
            return Dnat(None if address is None else ip_address(address), port)
        case _:
            raise _NotKnown


def _mapped(expression: _Expression, data: Json, sets: _Sets) -> Iterator[tuple[tuple[Values, ...], Dnat]]:
    name = _set_name(data)
    items = sets.elements[name] if name is not None else data["set"]
    for key, to in items:
        parts = to["concat"] if isinstance(to, Mapping) and "concat" in to else [to]
        port = int(parts[1]) if len(parts) > 1 else None
        yield _element(expression.fields, key, sets), Dnat(ip_address(parts[0]), port)


def _verdict_map(expression: _Expression, data: Json, sets: _Sets) -> Statement:
    name = _set_name(data)
    items = sets.elements[name] if name is not None else data["set"]
    elements = []
    for key, verdict in items:
        kind, value = next(iter(verdict.items()))
        elements.append((_element(expression.fields, key, sets), _statement(kind, value, sets)))
    found = VerdictMap(expression.fields, tuple(elements))
    return When(expression.demands, (found,)) if expression.demands else found


def _is_harmless(key: Json) -> bool:
    match key:
        case {"meta": {"key": name}}:
            return name in _HARMLESS_META
        case {"payload": {"field": name}}:
            return name in _HARMLESS_PAYLOAD
        case {"ct": {"key": name}}:
            return name in ("label", "helper", "event")
        case _:
            return any(name in key for name in _HARMLESS_MANGLING)


_PACKET_MARK, _CONNECTION_MARK = {"meta": {"key": "mark"}}, {"ct": {"key": "mark"}}


def _mark(key: Json, new: Json) -> Statement:
    is_connection = key == _CONNECTION_MARK
    if key != _PACKET_MARK and not is_connection:
        raise _NotKnown
    if new == (_PACKET_MARK if is_connection else _CONNECTION_MARK):
        return CopyMark(to_connection=is_connection)
    if isinstance(new, int):
        return SetMark(new, is_connection=is_connection)
    match new:
        case {"|": [{**same}, int(bits)]} if same == key:
            return SetMark(bits, bits, is_connection)
        case {"&": [{**same}, int(kept)]} if same == key:
            return SetMark(0, ~kept & 0xFFFFFFFF, is_connection)
        case {"^": [{**same}, int(bits)]} if same == key:
            return SetMark(bits, 0, is_connection)
        case _:
            raise _NotKnown
