"""Putting bytes into daemon.json, or taking the file away."""

from __future__ import annotations

from pathlib import Path

from remedy.host.files import read_without_following, remove_durably, write_atomically
from remedy.plan.model import FileContent


def put_content(content: FileContent) -> None:
    """Make the file what `content` says (raw None: not there). Raises InputError and OSError."""
    path = Path(content.path)
    if content.raw is None:
        remove_durably(path)
    elif read_without_following(path) != content.raw:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_atomically(path, content.raw, mode=content.mode, uid=content.uid, gid=content.gid)


def has_content(content: FileContent) -> bool:
    """Whether the file is what `content` says."""
    return read_without_following(Path(content.path)) == content.raw
