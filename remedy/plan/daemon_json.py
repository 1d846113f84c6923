"""Edits of daemon.json that leave every other byte as it is: key order, indentation, unknown keys.

A JSON document is edited by the positions of its top-level members, which the standard decoder gives; a
library that prints it anew would lose the operator's layout.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

BOM = b"\xef\xbb\xbf"
_BLANK = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Member:
    """A top-level member: key at [key_start, ...), value text at [value_start, value_end)."""

    key: str
    key_start: int
    value_start: int
    value_end: int


def members_of(text: str) -> tuple[Member, ...]:
    """The top-level members of a JSON object, with positions. Raises json.JSONDecodeError."""
    decoder = json.JSONDecoder()
    position = _skip_blank(text, 0)
    if text[position : position + 1] != "{":
        raise json.JSONDecodeError("the document is not an object", text, position)
    members: list[Member] = []
    position = _skip_blank(text, position + 1)
    if text[position : position + 1] == "}":
        return ()
    while True:
        if text[position : position + 1] != '"':
            raise json.JSONDecodeError("a key is expected", text, position)
        key_start = position
        key, position = decoder.raw_decode(text, position)
        position = _skip_blank(text, position)
        if text[position : position + 1] != ":":
            raise json.JSONDecodeError("':' is expected", text, position)
        value_start = _skip_blank(text, position + 1)
        _, value_end = decoder.raw_decode(text, value_start)
        members.append(Member(key, key_start, value_start, value_end))
        position = _skip_blank(text, value_end)
        separator = text[position : position + 1]
        if separator == "}":
            return tuple(members)
        if separator != ",":
            raise json.JSONDecodeError("',' or '}' is expected", text, position)
        position = _skip_blank(text, position + 1)


def with_values(raw: bytes | None, values: Mapping[str, bool]) -> bytes:
    """daemon.json with these top-level keys set; all other bytes stay.

    raw None or blank stands for a file that is not there or empty: a new one is made. A byte order mark
    stays. Raises json.JSONDecodeError or UnicodeDecodeError when raw is not a JSON object.
    """
    mark = BOM if raw is not None and raw.startswith(BOM) else b""
    text = "" if raw is None else raw[len(mark) :].decode()
    if not text.strip():
        return mark + (json.dumps(dict(values), indent=4) + "\n").encode()
    for key, value in values.items():
        text = _with_value(text, key, json.dumps(value))
    return mark + text.encode()


def without_value(raw: bytes, key: str) -> bytes:
    """daemon.json without a top-level key, and without its separating comma."""
    mark = BOM if raw.startswith(BOM) else b""
    text = raw[len(mark) :].decode()
    members = members_of(text)
    for index, member in enumerate(members):
        if member.key != key:
            continue
        if index + 1 < len(members):
            start, end = member.key_start, members[index + 1].key_start
        elif index > 0:
            start, end = members[index - 1].value_end, member.value_end
        else:
            start, end = member.key_start, member.value_end
        return mark + (text[:start] + text[end:]).encode()
    return raw


def _with_value(text: str, key: str, value: str) -> str:
    members = members_of(text)
    for member in members:
        if member.key == key:
            return text[: member.value_start] + value + text[member.value_end :]
    if not members:
        opening = text.index("{")
        return text[: opening + 1] + f'\n    "{key}": {value}\n' + text[text.index("}", opening) :]
    first, last = members[0], members[-1]
    # The blanks before the first key are the file's own indentation (a newline and spaces, or nothing).
    gap = text[text.index("{") + 1 : first.key_start]
    colon = text[first.key_start : first.value_start].rpartition(":")[2] or " "
    return text[: last.value_end] + "," + (gap or " ") + f'"{key}":{colon}{value}' + text[last.value_end :]


def _skip_blank(text: str, position: int) -> int:
    match = _BLANK.match(text, position)
    return position if match is None else match.end()
