"""remedy's nft tables as `nft -j list table` prints them: nft_reading the other way round.

It knows what remedy writes (nft_tables) and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from remedy.firewall.nft_model import NftChain, NftSet, NftTable

Json = Any  # nft's JSON: objects, arrays, text, numbers

_WORD = re.compile(r'"([^"]*)"|(\S+)')
_VERDICTS = frozenset({"return", "drop", "accept", "masquerade", "notrack"})
# A selector's words, and what they are in JSON.
_SELECTORS: dict[str, Json] = {
    "iifname": {"meta": {"key": "iifname"}},
    "oifname": {"meta": {"key": "oifname"}},
    "meta l4proto": {"meta": {"key": "l4proto"}},
    "th dport": {"payload": {"protocol": "th", "field": "dport"}},
    "th sport": {"payload": {"protocol": "th", "field": "sport"}},
    "ct status": {"ct": {"key": "status"}},
    "fib daddr type": {"fib": {"result": "type", "flags": ["daddr"]}},
    **{
        f"{family} {field}": {"payload": {"protocol": family, "field": field}}
        for family in ("ip", "ip6")
        for field in ("saddr", "daddr")
    },
}


def table_as_json(table: NftTable) -> list[object]:
    """The items of one table: the table, its sets and maps, its chains, their rules."""
    place = {"family": table.family, "table": table.name}
    items: list[object] = [{"table": {"family": table.family, "name": table.name}}]
    items += [_set(item, place) for item in table.sets]
    items += [_chain(chain, place) for chain in table.chains]
    items += [_rule(rule, chain, place) for chain in table.chains for rule in chain.rules]
    return items


def _chain(chain: NftChain, place: dict[str, str]) -> Json:
    base = {"type": chain.type, "hook": chain.hook, "prio": chain.priority, "policy": chain.policy}
    return {"chain": {**place, "name": chain.name, **({} if chain.hook is None else base)}}


# --- sets and maps -----------------------------------------------------------------------------------------------


def _set(item: NftSet, place: dict[str, str]) -> Json:
    content: dict[str, Json] = {**place, "name": item.name, "type": _type(item.type)}
    if item.maps_to is not None:
        content["map"] = _type(item.maps_to)
    if item.flags:
        content["flags"] = list(item.flags)
    if item.elements:
        content["elem"] = [_element(text, is_map=item.maps_to is not None) for text in item.elements]
    return {"set" if item.maps_to is None else "map": content}


def _type(text: str) -> Json:
    words = text.split(" . ")
    return words if len(words) > 1 else text


def _element(text: str, *, is_map: bool) -> Json:
    """`"docker0" . tcp . 5001 comment "remedy:web" : 172.17.0.2 . 8080`, or a set's element, which ends before it."""
    key, _, to = text.rpartition(" : ") if is_map else (text, "", "")
    value, has_comment, comment = key.partition(" comment ")
    element = _concatenated(value.split(" . "))
    if has_comment:
        element = {"elem": {"val": element, "comment": comment.strip('"')}}
    return [element, _concatenated(to.split(" . "))] if is_map else element


def _concatenated(parts: Sequence[str]) -> Json:
    values = [_value(part.strip('"')) for part in parts]
    return values[0] if len(values) == 1 else {"concat": values}


def _value(text: str) -> Json:
    address, slash, length = text.partition("/")
    if slash:
        return {"prefix": {"addr": address, "len": int(length)}}
    return int(text) if text.isdigit() else text


# --- rules -------------------------------------------------------------------------------------------------------


def _rule(text: str, chain: NftChain, place: dict[str, str]) -> Json:
    statement, _, comment = text.partition(" comment ")
    words = [quoted or plain for quoted, plain in _WORD.findall(statement)]
    content = {**place, "chain": chain.name, "expr": list(_statements(words))}
    return {"rule": {**content, **({"comment": comment.strip('"')} if comment else {})}}


def _statements(words: list[str]) -> Iterator[Json]:
    position = 0
    while position < len(words):
        word = words[position]
        if word in _VERDICTS:
            yield {word: None}
            position += 1
        elif word == "jump":
            yield {"jump": {"target": words[position + 1]}}
            position += 2
        elif word == "dnat":  # dnat FAMILY to KEY map @NAME
            family = words[position + 1]
            key, position = _expression(words, position + 3)
            yield {"dnat": {"family": family, "addr": {"map": {"key": key, "data": words[position + 1]}}}}
            position += 2
        else:
            left, position = _expression(words, position)
            is_negated = words[position] == "!="
            position += is_negated
            op = "!=" if is_negated else "=="
            yield {"match": {"op": op, "left": left, "right": _value(words[position])}}
            position += 1


def _expression(words: Sequence[str], start: int) -> tuple[Json, int]:
    """The selectors from `start` on, joined by dots, and where they end."""
    parts: list[Json] = []
    position = start
    while True:
        length = next((n for n in (1, 2, 3) if " ".join(words[position : position + n]) in _SELECTORS), 0)
        if not length:
            raise ValueError(f"remedy writes no {words[position]!r} in a rule")
        parts.append(_SELECTORS[" ".join(words[position : position + length])])
        position += length
        if position >= len(words) or words[position] != ".":
            break
        position += 1
    return (parts[0] if len(parts) == 1 else {"concat": parts}), position
