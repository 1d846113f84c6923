"""haproxy's configuration, edited by somebody else after remedy wrote it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from remedy.errors import RemedyError, StalePlanError
from remedy.haproxy.config_file import Content, content_of
from remedy.host.files import read_without_following
from remedy.plan.model import Action, ConfigFile, RewireHaproxy

MOST_LINES = 60


@dataclass(frozen=True, slots=True)
class Edit:
    """A file that is not as the run left it, nor as it was before. now None: it is gone, or no file any more."""

    file: ConfigFile
    how: str  # edited, replaced
    now: bytes | None

    @property
    def path(self) -> str:
        """Where it lies on the host."""
        return self.file.content.path


def edited_configurations(actions: Iterable[Action]) -> list[Edit]:
    """The files of these actions that somebody edited, or replaced as many editors do."""
    files = [file for action in actions if isinstance(action, RewireHaproxy) for file in action.files]
    return [edit for file in files if (edit := _edit_of(file)) is not None]


def three_way_difference(edit: Edit) -> Iterator[str]:
    """From before remedy to what it wrote, and from there to now."""
    before, written = edit.file.original.raw or b"", edit.file.content.raw or b""
    names = (f"{edit.path} before remedy", f"{edit.path} as remedy wrote it", f"{edit.path} now")
    lines = [
        *_difference(before, written, names[0], names[1]),
        *_difference(written, edit.now or b"", names[1], names[2]),
    ]
    yield from lines[:MOST_LINES]
    if len(lines) > MOST_LINES:
        yield f"... and {len(lines) - MOST_LINES} more lines"


def _edit_of(file: ConfigFile) -> Edit | None:
    try:
        if content_of(file) is not Content.FOREIGN:
            return None
        how = "edited"
    except StalePlanError:
        how = "replaced by another file"
    except OSError:
        return None  # what cannot be read is told by the rollback itself
    return Edit(file, how, _read(file.content.path))


def _read(path: str) -> bytes | None:
    try:
        return read_without_following(Path(path)) if Path(path).is_file() else None
    except (OSError, RemedyError):
        return None


def _difference(old: bytes, new: bytes, old_name: str, new_name: str) -> Iterator[str]:
    return difflib.unified_diff(_lines(old), _lines(new), old_name, new_name, n=1, lineterm="")


def _lines(content: bytes) -> list[str]:
    return content.decode(errors="backslashreplace").splitlines()
