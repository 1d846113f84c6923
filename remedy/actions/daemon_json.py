"""Putting bytes into daemon.json, or taking the file away with the directories that were made for it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from remedy.host.files import TEMPORARY_SUFFIX, read_without_following, remove_durably, sync_directory, write_atomically
from remedy.plan.actions import FileContent


def put_content(content: FileContent) -> None:
    """Make the file what `content` says (raw None: not there). Raises InputError and OSError."""
    path = Path(content.path)
    if content.raw is None:
        remove_durably(path)
    elif read_without_following(path) != content.raw:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_atomically(path, content.raw, mode=content.mode, uid=content.uid, gid=content.gid)
    # What a kill between the new file and its rename has left.
    remove_durably(path.with_name(path.name + TEMPORARY_SUFFIX))


def has_content(content: FileContent) -> bool:
    """Whether the file is what `content` says."""
    return read_without_following(Path(content.path)) == content.raw


def directories_to_make(path: str) -> dict[str, object]:
    """Undo data: the directories that writing this file makes, the deepest first."""
    return {"made": [str(parent) for parent in Path(path).parents if not parent.exists()]}


def remove_directories(undo: Mapping[str, object]) -> None:
    """Remove the directories that were made for the file, unless somebody put something into them."""
    made = undo.get("made")
    for directory in map(Path, made if isinstance(made, list) else ()):
        with suppress(OSError):
            directory.rmdir()
            sync_directory(directory.parent)
