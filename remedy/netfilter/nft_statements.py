"""What an nft rule does with a packet, as statements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from remedy.netfilter.nft_expressions import Expression, Json, NotKnownError, Sets, element, left_side, set_name
from remedy.netfilter.nft_words import item_words
from remedy.netfilter.rules import (
    Accept,
    CopyMark,
    Dnat,
    Drop,
    Jump,
    MappedDnat,
    Masquerade,
    Nothing,
    Notrack,
    Redirect,
    Reject,
    Return,
    SetMark,
    Snat,
    Statement,
    VerdictMap,
    When,
)
from remedy.netfilter.values import Values

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


def statement(kind: str, value: Json, sets: Sets) -> Statement:
    """One item of a rule that is no condition. Raises what `condition` raises."""
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
            return _verdict_map(left_side(key), data, sets)
        case "mangle", {"key": key, "value": new}:
            return Nothing(item_words({kind: value})) if _is_harmless(key) else _mark(key, new)
        case _:
            raise NotKnownError


def _reject(value: Json) -> Reject:
    if not isinstance(value, Mapping):
        return Reject("icmp-port-unreachable")
    if value.get("type") == "tcp reset":
        return Reject("tcp-reset")
    return Reject(f"icmp-{value.get('expr', 'port-unreachable')}")


def _dnat(words: Mapping[str, Json], sets: Sets) -> Statement:
    address, port = words.get("addr"), words.get("port")
    match address:
        case {"map": {"key": key, "data": data}} if port is None:
            expression = left_side(key)
            return MappedDnat(expression.fields, tuple(_mapped(expression, data, sets)))
        case str() | None if port is None or isinstance(port, int):
            return Dnat(None if address is None else ip_address(address), port)
        case _:
            raise NotKnownError


def _mapped(expression: Expression, data: Json, sets: Sets) -> Iterator[tuple[tuple[Values, ...], Dnat]]:
    name = set_name(data)
    items = sets.elements[name] if name is not None else data["set"]
    for key, to in items:
        parts = to["concat"] if isinstance(to, Mapping) and "concat" in to else [to]
        port = int(parts[1]) if len(parts) > 1 else None
        yield element(expression.fields, key, sets), Dnat(ip_address(parts[0]), port)


def _verdict_map(expression: Expression, data: Json, sets: Sets) -> Statement:
    name = set_name(data)
    items = sets.elements[name] if name is not None else data["set"]
    elements = []
    for key, verdict in items:
        kind, value = next(iter(verdict.items()))
        elements.append((element(expression.fields, key, sets), statement(kind, value, sets)))
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
        raise NotKnownError
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
            raise NotKnownError
