"""A candidate configuration inside haproxy's own root, in a private directory that is gone again afterwards.

Each directory that has a changed file is mirrored: the changed files as they would be, everything else in it as links
to what is there, so that `default-path config` and directories given with -f work as they do in place. Made below the
container's root without following its links; the container's own root user could interfere, and harms only itself.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath

from remedy.errors import HaproxyError
from remedy.facts.container_files import list_directory, opened_below

NAME = ".remedy-candidate"
# /dev/shm is writable in every container, read-only roots included, unless its IPC namespace was given away.
_PLACES = ("/dev/shm", "/run", "/tmp", "/var/tmp")  # noqa: S108 - made private, and never opened by name alone
_NEW_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Mirror:
    """Where each directory of the configuration is mirrored, and back."""

    def __init__(self, base: str, directories: Iterable[str]) -> None:
        self._mirrored = {directory: f"{base}/{number}" for number, directory in enumerate(directories)}

    def path_of(self, path: str, changed: Iterable[str]) -> str:
        """The path to give haproxy instead of this one; the same for what does not change."""
        if path in self._mirrored:
            return self._mirrored[path]
        if path in changed:
            pure = PurePosixPath(path)
            return f"{self._mirrored[str(pure.parent)]}/{pure.name}"
        return path

    def real_names(self, text: str) -> str:
        """What haproxy said, with the names that the operator knows."""
        for directory, mirrored in self._mirrored.items():
            text = text.replace(f"{mirrored}/", f"{directory.rstrip('/')}/").replace(mirrored, directory)
        return text


@contextmanager
def mirrored(root: int, contents: Mapping[str, bytes], *, uid: int, gid: int) -> Iterator[Mirror]:
    """Lay out the candidate below `root`, readable for `uid` alone; contents by the path that haproxy knows.

    Raises HaproxyError where there is no place to write, and OSError.
    """
    directories = list(dict.fromkeys(str(PurePosixPath(path).parent) for path in contents))
    with _private_directory(root, uid, gid) as (base, descriptor):
        for number, directory in enumerate(directories):
            os.mkdir(str(number), 0o700, dir_fd=descriptor)
            inside = os.open(str(number), _NEW_DIRECTORY, dir_fd=descriptor)
            try:
                _fill(root, inside, directory, contents, uid, gid)
                os.fchown(inside, uid, gid)
            finally:
                os.close(inside)
        yield Mirror(base, directories)


def remove_leftovers(root: int) -> None:
    """Remove what a kill in the middle of a check has left."""
    for place in _PLACES:
        with suppress(OSError), opened_below(root, place) as (found, _):
            _remove(found)


@contextmanager
def _private_directory(root: int, uid: int, gid: int) -> Iterator[tuple[str, int]]:
    for place in _PLACES:
        with suppress(FileNotFoundError, NotADirectoryError), opened_below(root, place) as (parent, path):
            if not _is_writable(parent):
                continue
            _remove(parent)
            os.mkdir(NAME, 0o700, dir_fd=parent)
            try:
                descriptor = os.open(NAME, _NEW_DIRECTORY, dir_fd=parent)
                try:
                    os.fchown(descriptor, uid, gid)
                    yield f"{path}/{NAME}", descriptor
                finally:
                    os.close(descriptor)
            finally:
                _remove(parent)
            return
    raise HaproxyError(
        "the new configuration cannot be checked: haproxy's container has no place where it could be laid",
        why="none of " + ", ".join(_PLACES) + " is a directory that can be written to",
        next_step="mount a tmpfs on /tmp of the container",
    )


def _is_writable(directory: int) -> bool:
    status = os.fstat(directory)
    return stat.S_ISDIR(status.st_mode) and not os.fstatvfs(directory).f_flag & os.ST_RDONLY


def _remove(parent: int) -> None:
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.stat(NAME, dir_fd=parent, follow_symlinks=False).st_mode):
            # It follows no links.
            shutil.rmtree(NAME, dir_fd=parent)
        else:
            os.unlink(NAME, dir_fd=parent)


def _fill(root: int, inside: int, directory: str, contents: Mapping[str, bytes], uid: int, gid: int) -> None:
    paths = {PurePosixPath(path): raw for path, raw in contents.items()}
    changed = {path.name: raw for path, raw in paths.items() if str(path.parent) == directory}
    for name in _entries(root, directory):
        if name not in changed:
            os.symlink(f"{directory.rstrip('/')}/{name}", name, dir_fd=inside)
    for name, raw in changed.items():
        descriptor = os.open(name, _NEW_FILE, 0o400, dir_fd=inside)
        with os.fdopen(descriptor, "wb") as file:
            file.write(raw)
            os.fchown(descriptor, uid, gid)


def _entries(root: int, directory: str) -> list[str]:
    try:
        return list_directory(root, directory)
    except ValueError:
        return []  # far too many to be the neighbours that a configuration refers to
