"""`nft -j list table` as the values that remedy compares (nft_model).

nft's JSON differs between versions: 1.0.6 lists fib's flags as an array, later ones need not; protocols are
numbers where /etc/protocols is missing; a map's data type is text or an array. Here all become the text that
remedy itself writes. What remedy never writes stays as JSON, so that a foreign rule in our table is shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from remedy.firewall.nft_model import NftChain, NftSet, NftTable

_PROTOCOL_NAMES = {6: "tcp", 17: "udp", 132: "sctp"}
_QUALIFIED_META = frozenset({"l4proto", "nfproto", "protocol", "length"})  # the others nft prints without `meta`
_INTERFACE_KEYS = frozenset({"iifname", "oifname"})

Json = Any  # nft's JSON: objects, arrays, text, numbers


def read_tables(entries: Iterable[Json]) -> tuple[NftTable, ...]:
    """The tables in the "nftables" array of `nft -j list`, in the order of appearance."""
    objects = [next(iter(entry.items())) for entry in entries if isinstance(entry, Mapping) and entry]
    found = [value for kind, value in objects if kind == "table"]
    return tuple(_table(value, objects) for value in found)


def _table(table: Json, objects: Sequence[tuple[str, Json]]) -> NftTable:
    family, name = table["family"], table["name"]
    inside = [
        (kind, value)
        for kind, value in objects
        if kind not in ("table", "metainfo") and (value.get("family"), value.get("table")) == (family, name)
    ]
    rules = [value for kind, value in inside if kind == "rule"]
    chains = tuple(_chain(value, rules) for kind, value in inside if kind == "chain")
    # Kinds that remedy never makes (counters, flowtables ...) appear as sets of that type.
    sets = tuple(_set(kind, value) for kind, value in inside if kind not in ("chain", "rule"))
    return NftTable(family, name, sets, chains)


def _set(kind: str, value: Mapping[str, Json]) -> NftSet:
    if kind not in ("set", "map"):
        return NftSet(str(value.get("name")), kind, ())
    types, result = _words(value.get("type")), _words(value.get("map"))
    elements = (
        f"{_element(item[0], types)} : {_element(item[1], result)}" if result else _element(item, types)
        for item in value.get("elem", ())
    )
    return NftSet(
        value["name"],
        " . ".join(types),
        tuple(elements),
        maps_to=" . ".join(result) or None,
        flags=tuple(sorted(_words(value.get("flags")))),
    )


def _chain(chain: Mapping[str, Json], rules: Iterable[Mapping[str, Json]]) -> NftChain:
    own = (rule for rule in rules if rule.get("chain") == chain["name"])
    kind, hook, priority, policy = (chain.get(key) for key in ("type", "hook", "prio", "policy"))
    return NftChain(chain["name"], kind, hook, priority, policy, tuple(map(_rule, own)))


def _words(value: Json) -> list[str]:
    """A type: text ("ipv4_addr . inet_service") or an array of texts."""
    return value.split(" . ") if isinstance(value, str) else [str(word) for word in value or ()]


# --- elements --------------------------------------------------------------------------------------------------


def _element(item: Json, types: Sequence[str]) -> str:
    if isinstance(item, Mapping) and "elem" in item:
        inner = item["elem"]
        comment = f' comment "{inner["comment"]}"' if "comment" in inner else ""
        return _element(inner["val"], types) + comment
    if isinstance(item, Mapping) and "concat" in item:
        parts = zip_longest(item["concat"], types, fillvalue="")
        return " . ".join(_value(part, kind) for part, kind in parts)
    return _value(item, types[0] if types else "")


def _value(item: Json, kind: str) -> str:
    """One value; kind is its nft type, where it is known."""
    if kind == "ifname" and isinstance(item, str) and not item.startswith("@"):
        return f'"{item}"'
    if kind == "inet_proto" and isinstance(item, int):
        return _PROTOCOL_NAMES.get(item, str(item))
    if isinstance(item, Mapping) and "prefix" in item:
        return f"{item['prefix']['addr']}/{item['prefix']['len']}"
    if isinstance(item, Mapping) and "range" in item:
        return "-".join(str(end) for end in item["range"])
    return str(item) if isinstance(item, str | int) else _compact(item)


# --- rules -----------------------------------------------------------------------------------------------------


def _rule(rule: Mapping[str, Json]) -> str:
    comment = [f'comment "{rule["comment"]}"'] if "comment" in rule else []
    return " ".join([*map(_statement, rule.get("expr", ())), *comment])


def _statement(statement: Json) -> str:
    match statement:
        case {"match": {"op": op, "left": left, "right": right}}:
            operator = "" if op in ("==", "in") else f"{op} "
            return f"{_expression(left)} {operator}{_value(right, _kind(left))}"
        case {"dnat": {"family": family, "addr": {"map": {"key": key, "data": str(data)}}, **rest}} if not rest:
            return f"dnat {family} to {_expression(key)} map {data}"
        case {"jump": {"target": str(chain)}}:
            return f"jump {chain}"
        case {"return": None} | {"drop": None} | {"accept": None} | {"masquerade": None} | {"notrack": None}:
            return str(next(iter(statement)))
        case _:
            return _compact(statement)


def _expression(expression: Json) -> str:
    match expression:
        case {"concat": [*parts]}:
            return " . ".join(map(_expression, parts))
        case {"meta": {"key": key}}:
            return f"meta {key}" if key in _QUALIFIED_META else str(key)
        case {"payload": {"protocol": protocol, "field": field}}:
            return f"{protocol} {field}"
        case {"ct": {"key": key, **rest}} if not rest:
            return f"ct {key}"
        case {"fib": {"result": result, "flags": flags}}:
            return f"fib {' . '.join(_words(flags))} {result}"
        case _:
            return _compact(expression)


def _kind(expression: Json) -> str:
    match expression:
        case {"meta": {"key": key}} if key in _INTERFACE_KEYS:
            return "ifname"
        case {"meta": {"key": "l4proto"}}:
            return "inet_proto"
        case _:
            return ""


def _compact(item: Json) -> str:
    return json.dumps(item, separators=(",", ":"), sort_keys=True)
