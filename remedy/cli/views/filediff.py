"""Files that a plan writes, as small differences from what lies there at that step."""

from __future__ import annotations

import base64
import difflib
import itertools
from collections.abc import Iterator
from typing import Any

MAX_LINES = 40
# For each kind of action that writes a file: what is there before (unless an earlier action wrote it), and after.
_CONTENTS = {
    "hold_live_restore": ("original", "content"),
    "userland_proxy": ("original", "content"),
    "release_live_restore": ("hold_content", "final"),
    "compose_override": ("original", "content"),
}
_STYLES = {"+": "green", "-": "red", " ": "dim"}


class FileHistory:
    """Follows the files through the plan, so that each difference is that of its own step."""

    def __init__(self) -> None:
        self._current: dict[str, bytes | None] = {}

    def changes(self, action: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield the lines of the difference with their styles; nothing for an action that writes no file."""
        for before, after in _written(action):
            yield from self._changes(before, after)

    def _changes(self, original: dict[str, Any], content: dict[str, Any]) -> Iterator[tuple[str, str]]:
        path = content["path"]
        before = self._current.get(path, _raw(original))
        after = _raw(content)
        self._current[path] = after
        if before == after:
            return
        yield path, "bold"
        lines = list(difference(before, after))
        yield from lines[:MAX_LINES]
        if len(lines) > MAX_LINES:
            yield f"... and {len(lines) - MAX_LINES} more lines", "dim"


def _written(action: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """What lies there and what is written, of each file of the action."""
    if action["kind"] == "rewire_haproxy":
        for file in action["files"]:
            yield file["original"], file["content"]
    elif action["kind"] == "conntrack":
        yield from zip(action["original_files"], action["files"], strict=True)
    elif action["kind"] in _CONTENTS:
        before, after = _CONTENTS[action["kind"]]
        yield action[before], action[after]


def difference(before: bytes | None, after: bytes | None) -> Iterator[tuple[str, str]]:
    """Yield a unified difference without its headers. None is: there is no file."""
    if before is None:
        yield "(the file is made)", "dim"
    if after is None:
        yield "(the file is removed)", "dim"
    old, new = _lines(before), _lines(after)
    headless = itertools.islice(difflib.unified_diff(old, new, n=2, lineterm=""), 2, None)
    for line in headless:
        if line.startswith("@@"):
            continue
        yield line.replace("\t", "    "), _STYLES.get(line[:1], "")


def _raw(content: dict[str, Any]) -> bytes | None:
    # Both alphabets are accepted: Pydantic writes the URL-safe one.
    raw = content["raw"]
    return None if raw is None else base64.b64decode(raw.translate(str.maketrans("-_", "+/")))


def _lines(content: bytes | None) -> list[str]:
    if content is None:
        return []
    lines = content.decode(errors="backslashreplace").split("\n")
    if lines[-1] == "":
        return lines[:-1]
    return [*lines[:-1], f"{lines[-1]} (no newline at the end)"]
