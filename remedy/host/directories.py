"""Opening a directory for a write by root that nobody but its owner and root can lead elsewhere."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from remedy.errors import InputError

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAXIMUM_LINKS = 16


@contextmanager
def open_directory(path: str, owner: int) -> Iterator[Path]:
    """Hold a directory open, and give a path to it that stays with it whatever is renamed meanwhile.

    Symbolic links on the way count only when they are root's (or ours): another user's may lead root anywhere.
    Raises OSError when there is none, InputError when it belongs neither to root nor to `owner`, or anybody writes it.
    """
    descriptor = _walk(path)
    try:
        status = os.fstat(descriptor)
        if status.st_uid not in (0, owner):
            raise _not_ours(path, f"it belongs to the uid {status.st_uid}, the file in it to {owner}")
        if status.st_mode & stat.S_IWOTH:
            raise _not_ours(path, f"anybody may write to {path}")
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _not_ours(path: str, why: str) -> InputError:
    return InputError(
        "refusing to write into this directory", where=path, why=why, next_step="put the file there by hand"
    )


def _walk(path: str) -> int:
    """Open the directory component by component."""
    waiting = list(reversed(PurePosixPath(path).parts))
    current = os.open("/", _OPEN)
    links = 0
    try:
        while waiting:
            name = waiting.pop()
            try:
                found = os.open(name, _OPEN, dir_fd=current)
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                    raise OSError(error.errno, error.strerror, path) from error
                links += 1
                if links > _MAXIMUM_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path) from error
                waiting += reversed(PurePosixPath(_target(current, name, path)).parts)
                continue
            os.close(current)
            current = found
    except BaseException:
        os.close(current)
        raise
    return current


def _target(directory: int, name: str, path: str) -> str:
    """Where root's symbolic link leads; an absolute target's "/" begins the walk anew."""
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    if status.st_uid not in (0, os.geteuid()):
        raise _not_ours(path, f"{name} in it is a symbolic link of the uid {status.st_uid}")
    return os.readlink(name, dir_fd=directory)
