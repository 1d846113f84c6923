"""nft's JSON of a rule in the words of `nft list ruleset`, to be quoted to a person who greps for it.

Counters are left out, as `nft -s` does. What has no words here stays as JSON: a quotation never loses a part.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Json = Any

_PLAIN_META = frozenset({"iifname", "oifname", "iif", "oif", "mark"})  # nft prints these without `meta`
_NAMES = frozenset({"iifname", "oifname"})
_ADDRESSED = frozenset({"dnat", "snat"})
_BARE = frozenset({"accept", "drop", "return", "masquerade", "notrack"})


def rule_words(rule: Mapping[str, Json]) -> str:
    """A whole rule, with its comment."""
    parts = [item_words(item) for item in rule.get("expr", ()) if "counter" not in item]
    if "comment" in rule:
        parts.append(f'comment "{rule["comment"]}"')
    return " ".join(parts)


def item_words(item: Json) -> str:
    """One expression or statement of a rule."""
    match item:
        case {"match": {"op": op, "left": left, "right": right}}:
            operator = "" if op in ("==", "in") else f"{op} "
            return f"{_left(left)} {operator}{_right(right, is_name=_is_name(left))}"
        case {"vmap": {"key": key, "data": data}}:
            return f"{_left(key)} vmap {_right(data)}"
        case {"jump": {"target": str(chain)}}:
            return f"jump {chain}"
        case {"goto": {"target": str(chain)}}:
            return f"goto {chain}"
        case {"reject": {"type": str(kind), "expr": str(answer)}}:
            return f"reject with {kind.removesuffix('x')} {answer}"
        case {"mangle": {"key": key, "value": value}}:
            return f"{_left(key)} set {_right(value)}"
        case Mapping() if len(item) == 1:
            ((kind, value),) = item.items()
            return _single(str(kind), value, item)
        case _:
            return _json(item)


def _single(kind: str, value: Json, item: Json) -> str:
    if value is None and (kind in _BARE or kind == "reject"):
        return kind
    if kind in _ADDRESSED and isinstance(value, Mapping) and isinstance(value.get("addr", ""), str):
        address, port = value.get("addr", ""), value.get("port")
        if set(value) <= {"addr", "port", "family"} and (port is None or isinstance(port, int)):
            shown = f"[{address}]" if ":" in address and port is not None else address
            return f"{kind} to {shown}" + ("" if port is None else f":{port}")
    if kind == "redirect" and isinstance(value, Mapping) and set(value) == {"port"}:
        return f"redirect to :{value['port']}"
    return _json(item)


def _left(expression: Json) -> str:
    match expression:
        case {"concat": [*parts]}:
            return " . ".join(map(_left, parts))
        case {"meta": {"key": str(key)}}:
            return key if key in _PLAIN_META else f"meta {key}"
        case {"payload": {"protocol": protocol, "field": field}}:
            return f"{protocol} {field}"
        case {"ct": {"key": key, **rest}} if set(rest) <= {"dir", "family"}:
            return " ".join(["ct", *(str(rest[name]) for name in ("dir", "family") if name in rest), str(key)])
        case {"fib": {"result": result, "flags": flags}}:
            return f"fib {flags if isinstance(flags, str) else ' . '.join(map(str, flags))} {result}"
        case _:
            return _json(expression)


def _is_name(expression: Json) -> bool:
    match expression:
        case {"meta": {"key": str(key)}}:
            return key in _NAMES
        case _:
            return False


def _right(value: Json, *, is_name: bool = False) -> str:
    match value:
        case str():
            return f'"{value}"' if is_name and not value.startswith("@") else value
        case bool():
            return _json(value)
        case int():
            return str(value)
        case {"prefix": {"addr": address, "len": length}}:
            return f"{address}/{length}"
        case {"range": [low, high]}:
            return f"{_right(low)}-{_right(high)}"
        case {"set": [*elements]} if not any(isinstance(element, list) for element in elements):
            return f"{{ {', '.join(_right(element, is_name=is_name) for element in elements)} }}"
        case [*elements] if all(isinstance(element, str | int) for element in elements):
            return ",".join(map(str, elements))
        case _:
            return _json(value)


def _json(item: Json) -> str:
    return json.dumps(item, separators=(",", ":"), sort_keys=True)
