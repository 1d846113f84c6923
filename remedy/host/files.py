"""Crash-safe writes by root: atomic, synced, and never through a symbolic link."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from remedy.errors import InputError

TEMPORARY_SUFFIX = ".remedy-new"


def sync_directory(directory: Path) -> None:
    """Make a rename or unlink in `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_private_directory(path: Path) -> None:
    """Create `path` (and parents) as 0700, and refuse one that somebody else could write to.

    Raises InputError when it is a symbolic link, belongs to another user, or is open to others.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise InputError("the state directory is not a directory", where=str(path), next_step="remove it")
    if status.st_uid != os.geteuid():
        raise InputError(
            "the state directory belongs to another user",
            where=str(path),
            why=f"owner uid {status.st_uid}, remedy runs as {os.geteuid()}",
            next_step=f"chown it, or set REMEDY_STATE_DIR to another directory than {path}",
        )
    if status.st_mode & 0o077:
        path.chmod(0o700)


def write_atomically(
    path: Path, raw: bytes, *, mode: int, uid: int | None = None, gid: int | None = None, durable: bool = True
) -> None:
    """Replace `path` by `raw` so that a crash leaves either the old or the new bytes, never a mixture.

    Not durable: a crash of the machine, other than one of the process, may leave neither.
    The new file is written beside it, synced and renamed. A file that is itself a mount point cannot be
    renamed over (EBUSY): it is overwritten in place and synced. Raises InputError for a symbolic link and
    OSError when the file system refuses (full, read-only, immutable); then `path` is untouched.
    """
    if path.is_symlink():
        raise InputError(
            "refusing to write through a symbolic link",
            where=str(path),
            next_step="name the file it points to",
        )
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    _write_new_file(temporary, raw, mode=mode, uid=uid, gid=gid, durable=durable)
    try:
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if error.errno != errno.EBUSY:
            raise
        _overwrite_in_place(path, raw)
    if durable:
        sync_directory(path.parent)


def _write_new_file(
    path: Path, raw: bytes, *, mode: int, uid: int | None, gid: int | None, durable: bool = True
) -> None:
    # A leftover of a killed run may lie here; O_EXCL after the unlink means that nobody's link is followed.
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _write_all(descriptor, raw)
        if uid is not None and gid is not None:
            os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, mode)
        if durable:
            os.fsync(descriptor)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def _overwrite_in_place(path: Path, raw: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _write_all(descriptor, raw)
        os.ftruncate(descriptor, len(raw))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, raw: bytes) -> None:
    view = memoryview(raw)
    while view:
        view = view[os.write(descriptor, view) :]


def remove_durably(path: Path) -> None:
    """Remove a file if it is there, and make that durable."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        sync_directory(path.parent)


def read_without_following(path: Path) -> bytes | None:
    """The bytes of a file; None when there is none. A symbolic link raises InputError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InputError(
                "this is a symbolic link", where=str(path), next_step="name the file it points to"
            ) from error
        raise
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def check_writable(path: Path, size: int) -> None:
    """Prove that `path` could be replaced by `size` bytes now: write them beside it, and remove them.

    Raises OSError as write_atomically would (full disk, read-only file system, immutable directory or file).
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    _write_new_file(temporary, b"\0" * max(size, 1), mode=0o600, uid=None, gid=None)
    temporary.unlink()
    if path.exists():
        # An immutable file (chattr +i) lets its directory be written, and refuses the rename.
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_APPEND | os.O_CLOEXEC)
        os.close(descriptor)
