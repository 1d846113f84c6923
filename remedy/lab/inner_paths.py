"""Paths inside a lab host's root, followed as the host itself would follow them.

/var/run in a Debian root is the absolute link /run: opened from outside as ROOT/var/run/x it would lead into the
machine's own /run. So every component is resolved here, and absolute links begin again at the root.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from remedy.errors import LabError

_MAX_LINKS = 40  # as the kernel: ELOOP


def resolve_inside(root: Path, path: str | Path, *, follow_last: bool = True) -> Path:
    """The path below `root` that `path` means inside; its last components need not exist.

    Raises LabError when the links go round in circles.
    """
    pending = [part for part in Path(path).parts if part != "/"][::-1]
    current: list[str] = []
    links = 0
    while pending:
        part = pending.pop()
        if part == "..":
            del current[-1:]
            continue
        candidate = root.joinpath(*current, part)
        if not candidate.is_symlink() or (not pending and not follow_last):
            current.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            raise LabError("too many levels of symbolic links", where=str(path))
        target = candidate.readlink()
        if target.is_absolute():
            current = []
        pending.extend(part for part in target.parts[::-1] if part != "/")
    return root.joinpath(*current)


class UpperLayer:
    """Files laid over a root file system before a host starts.

    A directory in the upper layer gives the merged one its owner and mode, and hides a link of that name: so
    parents are resolved in the lower layer and made with the lower layer's mode.
    """

    def __init__(self, lower: Path, upper: Path) -> None:
        self._lower = lower
        self._upper = upper

    def write(self, path: str, content: bytes | str, mode: int = 0o644) -> None:
        """Write a file as the host will see it."""
        target = self._place(path)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        target.chmod(mode)

    def copy(self, source: Path, path: str) -> None:
        """Copy a program of the machine over whatever the lower layer has there."""
        target = self._place(path)
        shutil.copyfile(source, target)
        target.chmod(0o755)

    def link(self, path: str, to: str) -> None:
        """Make a symbolic link, over whatever the lower layer has there."""
        target = self._place(path)
        target.unlink(missing_ok=True)
        target.symlink_to(to)

    def exists(self, path: str) -> bool:
        """Whether the host will see such a file."""
        inside = resolve_inside(self._lower, path)
        return inside.exists() or (self._upper / inside.relative_to(self._lower)).exists()

    def _place(self, path: str) -> Path:
        inside = resolve_inside(self._lower, path, follow_last=False).relative_to(self._lower)
        self._make_parents(inside.parent)
        return self._upper / inside

    def _make_parents(self, directory: Path) -> None:
        for parent in [*reversed(directory.parents), directory]:
            if (self._upper / parent).exists():
                continue
            (self._upper / parent).mkdir()
            below = self._lower / parent
            if below.is_dir():
                found = below.stat()
                (self._upper / parent).chmod(stat.S_IMODE(found.st_mode))
                os.chown(self._upper / parent, found.st_uid, found.st_gid)
