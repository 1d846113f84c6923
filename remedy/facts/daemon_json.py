"""daemon.json as it lies on disk: its bytes, its owner, and what is wrong with it, if anything."""

from __future__ import annotations

import codecs
import json
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from remedy.facts.model import DaemonJson

MAXIMUM_BYTES = 1 << 20
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_daemon_json(path: str | Path) -> DaemonJson:
    """Read the file at `path`. Whatever is wrong with it is said in `problem`, only I/O errors are raised."""
    name = os.fspath(path)
    try:
        status = os.lstat(name)
    except FileNotFoundError:
        return DaemonJson(path=name, exists=False)
    if stat.S_ISLNK(status.st_mode):
        return _read_symlink(name)
    if not stat.S_ISREG(status.st_mode):
        return DaemonJson(path=name, exists=True, problem="it is not a regular file")
    # A symlink that takes its place between the two calls is refused here.
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    return _read_open(descriptor, DaemonJson(path=name, exists=True))


def parse_daemon_json(raw: bytes) -> tuple[dict[str, object] | None, str | None]:
    """Return (settings, problem). An empty file is an empty configuration, as it is to the engine."""
    try:
        text = raw.decode(_encoding(raw))
    except UnicodeDecodeError as error:
        return None, f"not valid UTF-8 at byte {error.start}"
    if not text.strip():
        return {}, None
    duplicates: list[str] = []
    try:
        value = json.loads(text, object_pairs_hook=_noting(duplicates), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        return None, f"{error.lineno}:{error.colno}: {error.msg}"
    except (ValueError, RecursionError) as error:
        return None, str(error) or "nested too deeply"
    if not isinstance(value, dict):
        return None, "the top level is not an object"
    problem = f"duplicate key {duplicates[0]!r}: the engine takes the last one" if duplicates else None
    return value, problem


def has_byte_order_mark(raw: bytes) -> bool:
    """Whether the file begins with a byte order mark."""
    return raw.startswith(tuple(_BYTE_ORDER_MARKS))


def _encoding(raw: bytes) -> str:
    return next((name for mark, name in _BYTE_ORDER_MARKS.items() if raw.startswith(mark)), "utf-8")


def _read_symlink(name: str) -> DaemonJson:
    target = os.fsencode(os.readlink(name)).decode(errors="replace")  # noqa: PTH115
    link = DaemonJson(
        path=name, exists=True, is_symlink=True, symlink_target=target, problem=f"a symbolic link to {target}"
    )
    # What the engine reads is the target; remedy reads it too, and only the planner decides about writing.
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return link.model_copy(update={"problem": f"{link.problem}, which cannot be read: {error.strerror}"})
    return _read_open(descriptor, link)


def _read_open(descriptor: int, found: DaemonJson) -> DaemonJson:
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return found.model_copy(update={"problem": "it is not a regular file"})
        raw = file.read(MAXIMUM_BYTES + 1)
    seen = {
        "mode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "inode": status.st_ino,
        "mtime": datetime.fromtimestamp(status.st_mtime, UTC),
    }
    if len(raw) > MAXIMUM_BYTES:
        return found.model_copy(update={**seen, "problem": f"larger than {MAXIMUM_BYTES} bytes"})
    parsed, problem = parse_daemon_json(raw)
    return found.model_copy(
        update={
            **seen,
            "raw": raw,
            "has_bom": has_byte_order_mark(raw),
            "parsed": _writable(parsed),
            "problem": "; ".join(filter(None, (found.problem, problem))) or None,
        }
    )


def _noting(duplicates: list[str]) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key, value in pairs:
            if key in built:
                duplicates.append(key)
            built[key] = value
        return built

    return build


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _writable(value: dict[str, object] | None) -> dict[str, object] | None:
    # Half a surrogate pair ("\ud800") is JSON but not UTF-8; Go reads it as U+FFFD, and so do we.
    if value is None:
        return None
    text = json.dumps(value, ensure_ascii=False)
    return dict(json.loads(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")))
