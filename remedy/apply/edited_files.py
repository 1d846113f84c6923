"""Files that a run wrote and somebody else edited since: how they differ from before and from what was written."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from remedy.errors import RemedyError
from remedy.host.files import read_without_following
from remedy.plan.actions import FileContent

MOST_LINES = 60


@dataclass(frozen=True, slots=True)
class Edit:
    """A file that is not as the run left it, nor as it was before. now None: it is gone, or no file any more."""

    original: FileContent
    written: FileContent
    how: str  # edited, replaced
    now: bytes | None

    @property
    def path(self) -> str:
        """Where it lies on the host."""
        return self.written.path


def three_way_difference(edit: Edit) -> Iterator[str]:
    """From before remedy to what it wrote, and from there to now."""
    before, written = edit.original.raw or b"", edit.written.raw or b""
    names = (f"{edit.path} before remedy", f"{edit.path} as remedy wrote it", f"{edit.path} now")
    lines = [
        *_difference(before, written, names[0], names[1]),
        *_difference(written, edit.now or b"", names[1], names[2]),
    ]
    yield from lines[:MOST_LINES]
    if len(lines) > MOST_LINES:
        yield f"... and {len(lines) - MOST_LINES} more lines"


def read_regular(path: str) -> bytes | None:
    """What the file holds now; None when there is none, or a link, a pipe, a directory in its place."""
    try:
        return read_without_following(Path(path)) if Path(path).is_file() else None
    except (OSError, RemedyError):
        return None


def _difference(old: bytes, new: bytes, old_name: str, new_name: str) -> Iterator[str]:
    return difflib.unified_diff(_lines(old), _lines(new), old_name, new_name, n=1, lineterm="")


def _lines(content: bytes) -> list[str]:
    return content.decode(errors="backslashreplace").splitlines()
