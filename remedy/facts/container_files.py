"""Reading a file inside a container's root without being led out of it.

The container's files belong to whoever runs in it: a symbolic link may point to /etc/shadow of the host, a
"configuration" may be a device, a pipe or endless. Every component is opened relative to the one before and
never followed; links are resolved inside the root; only regular files of limited size are read.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MAXIMUM_ENTRIES = 1024
_MAXIMUM_LINKS = 40
_PATH_ONLY = os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW


@contextmanager
def root_of(pid: int) -> Iterator[int]:
    """Open the root directory as process `pid` sees it. Raises OSError."""
    descriptor = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class RegularFile:
    """A file's bytes, its status, and where it lies below the root when all links are resolved.

    is_read_only: the mount that it lies on.
    """

    content: bytes
    status: os.stat_result
    real_path: str
    is_read_only: bool


def read_regular_file(root: int, path: str, maximum_bytes: int) -> bytes:
    """Read a regular file below `root`. Raises OSError, ValueError when it is too large."""
    return read_with_status(root, path, maximum_bytes).content


def read_with_status(root: int, path: str, maximum_bytes: int) -> RegularFile:
    """Read a regular file below `root` with what is known of it. Raises OSError, ValueError when it is too large."""
    with opened_below(root, path) as (found, real_path):
        status = os.fstat(found)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        is_read_only = bool(os.fstatvfs(found).f_flag & os.ST_RDONLY)
        # Only now, that it is known to be no device or pipe, is it really opened.
        with open(f"/proc/self/fd/{found}", "rb") as file:  # noqa: PTH123
            content = file.read(maximum_bytes + 1)
    if len(content) > maximum_bytes:
        raise ValueError(f"{path}: larger than the {maximum_bytes} bytes that are read")
    return RegularFile(content, status, real_path, is_read_only)


def is_directory(root: int, path: str) -> bool:
    """Whether `path` below `root` is a directory. Raises OSError when there is nothing."""
    with opened_below(root, path) as (found, _):
        return stat.S_ISDIR(os.fstat(found).st_mode)


def list_directory(root: int, path: str) -> list[str]:
    """Return the names in a directory below `root`, sorted. Raises OSError, ValueError when there are too many."""
    with opened_below(root, path) as (found, _), os.scandir(f"/proc/self/fd/{found}") as entries:
        names = [entry.name for _, entry in zip(range(MAXIMUM_ENTRIES + 1), entries, strict=False)]
    if len(names) > MAXIMUM_ENTRIES:
        raise ValueError(f"{path} has more than {MAXIMUM_ENTRIES} entries")
    return sorted(names)


@contextmanager
def opened_below(root: int, path: str) -> Iterator[tuple[int, str]]:
    """Open `path` below `root` as O_PATH, and say where it lies when all links are resolved. Raises OSError."""
    trail = [(os.dup(root), "")]
    try:
        try:
            _walk(trail, path)
        except OSError as error:
            # The kernel only knows the component; say the whole path.
            raise OSError(error.errno, error.strerror, path) from error
        yield trail[-1][0], "/".join(name for _, name in trail) or "/"
    finally:
        for descriptor, _ in trail:
            os.close(descriptor)


def _walk(trail: list[tuple[int, str]], path: str) -> None:
    """Extend `trail`, the open directories from the root down with their names, by the components of `path`."""
    waiting = list(reversed(path.split("/")))
    links = 0
    while waiting:
        name = waiting.pop()
        if name in {"", "."}:
            continue
        if name == "..":
            if len(trail) > 1:
                os.close(trail.pop()[0])
            continue
        found = os.open(name, _PATH_ONLY, dir_fd=trail[-1][0])
        if not stat.S_ISLNK(os.fstat(found).st_mode):
            trail.append((found, name))
            continue
        try:
            target = os.readlink("", dir_fd=found)
        finally:
            os.close(found)
        links += 1
        if links > _MAXIMUM_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if target.startswith("/"):
            while len(trail) > 1:
                os.close(trail.pop()[0])
        waiting.extend(reversed(target.split("/")))
