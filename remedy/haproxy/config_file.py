"""Writing haproxy's configuration in place: a single-file bind mount follows the inode, not the name.

The bytes go through the same inode, so owner, mode and every mount of the file stay. Such a write is not atomic: a kill
in the middle leaves a mixture of both contents, which is known again and finished in either direction.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from remedy.errors import StalePlanError
from remedy.facts.container_files import opened_below
from remedy.host.private_mounts import open_for_writing, run_in_private_mounts
from remedy.plan.actions import ConfigFile

MAXIMUM_BYTES = 16 << 20
# Not blocking: what was put in its place may be a pipe that nobody reads.
_CAREFUL = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Content(Enum):
    """What a file holds: one of the plan's two contents, a mixture of them, or something else."""

    ORIGINAL = "original"
    TARGET = "target"
    TORN = "torn"
    FOREIGN = "foreign"


def content_of(file: ConfigFile) -> Content:
    """What the file holds now. Raises StalePlanError when it is another file, and OSError."""
    with _opened(file, os.O_RDONLY) as descriptor:
        return _content(file, _read(descriptor))


def write_target(file: ConfigFile) -> None:
    """Write what the plan wants. Raises StalePlanError when the file was edited or replaced, and OSError."""
    with _opened(file, os.O_RDWR) as descriptor:
        now = _read(descriptor)
        if _content(file, now) is Content.FOREIGN:
            raise StalePlanError(
                "haproxy's configuration was edited since the plan was made",
                where=file.content.path,
                next_step="remedy plan, and look again",
            )
        overwrite(descriptor, now, file.content.raw or b"")


def write_original(file: ConfigFile) -> None:
    """Put back what was there, whatever is there now. Raises StalePlanError for a link or a pipe, and OSError.

    A file that an editor has put in the place of the plan's is written over in place too: whoever undoes over foreign
    changes has been told. One that was removed is made again.
    """
    path, raw = file.original.path, file.original.raw or b""
    try:
        descriptor = os.open(path, os.O_RDWR | _CAREFUL)
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _CAREFUL, 0o600)
        os.fchown(descriptor, file.original.uid, file.original.gid)
        os.fchmod(descriptor, file.original.mode)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _replaced(file) from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _replaced(file)
        overwrite(descriptor, _read(descriptor), raw)
    finally:
        os.close(descriptor)


def show_original(file: ConfigFile, root: int, pid: int) -> None:
    """Make haproxy see what was put back, where its single-file mount still shows a file that was replaced since.

    root: of haproxy, as process `pid` sees it. Raises StalePlanError where the old file cannot be written, and OSError.
    """
    with opened_below(root, file.path) as (found, _):
        if not _is_still_shown(file, found):
            return  # a directory's mount: what lies at the path on the host is what it sees
        with open(f"/proc/self/fd/{found}", "rb") as shown:  # noqa: PTH123
            now = shown.read(MAXIMUM_BYTES)
        if now == file.original.raw:
            return
        try:
            descriptor = os.open(f"/proc/self/fd/{found}", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise _replaced(file) from error
            descriptor = _opened_in_spite_of_its_mount(file, pid)
        try:
            overwrite(descriptor, now, file.original.raw or b"")
        finally:
            os.close(descriptor)


def _opened_in_spite_of_its_mount(file: ConfigFile, pid: int) -> int:
    """The file that a read-only mount shows and that has no name any more: nothing else leads to it."""

    def open_it(root: int) -> int:
        with opened_below(root, file.path) as (found, _):
            if not _is_still_shown(file, found):
                raise _replaced(file)
            return open_for_writing(found)

    try:
        return run_in_private_mounts(pid, open_it)
    except OSError as error:
        raise _replaced(file) from error


def _is_still_shown(file: ConfigFile, found: int) -> bool:
    seen = os.fstat(found)
    return (seen.st_dev, seen.st_ino) == (file.device, file.inode) and stat.S_ISREG(seen.st_mode)


def check_writable(file: ConfigFile) -> None:
    """Prove that the file is the plan's and could be written. Raises StalePlanError and OSError."""
    with _opened(file, os.O_RDWR):
        return


def overwrite(descriptor: int, now: bytes, wanted: bytes) -> None:
    """Make an open file hold other bytes, its end first: a full disk is met before anything is lost. Raises OSError."""
    if now == wanted:
        return
    _write_at(descriptor, wanted[len(now) :], len(now))
    os.fsync(descriptor)
    _write_at(descriptor, wanted[: len(now)], 0)
    os.ftruncate(descriptor, len(wanted))
    os.fsync(descriptor)


def is_mixture(now: bytes, one: bytes, other: bytes) -> bool:
    """Whether every byte is at this place in one of the two contents, as an interrupted write leaves it."""
    shorter, longer = sorted((one, other), key=len)
    if not len(shorter) <= len(now) <= len(longer):
        return False
    common = all(byte in pair for byte, *pair in zip(now, shorter, longer, strict=False))
    return common and now[len(shorter) :] == longer[len(shorter) : len(now)]


def _content(file: ConfigFile, now: bytes) -> Content:
    original, target = file.original.raw or b"", file.content.raw or b""
    if now == target:
        return Content.TARGET
    if now == original:
        return Content.ORIGINAL
    return Content.TORN if is_mixture(now, original, target) else Content.FOREIGN


@contextmanager
def _opened(file: ConfigFile, flags: int) -> Iterator[int]:
    path = file.content.path
    try:
        descriptor = os.open(path, flags | _CAREFUL)
    except FileNotFoundError as error:
        raise _replaced(file) from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _replaced(file) from error
        raise
    try:
        if not _is_the_plans(file, descriptor):
            raise _replaced(file)
        yield descriptor
    finally:
        os.close(descriptor)


def _is_the_plans(file: ConfigFile, descriptor: int) -> bool:
    """Whether this is the file that was planned: by device and inode, and after a reboot by inode and what is in it.

    A device without a number of its own (btrfs, overlay, LVM, a network's) may get another one at each boot.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_ino != file.inode:
        return False
    return status.st_dev == file.device or _content(file, _read(descriptor)) is not Content.FOREIGN


def _replaced(file: ConfigFile) -> StalePlanError:
    return StalePlanError(
        "this is not the file any more that haproxy sees",
        where=file.content.path,
        why="it was removed, or replaced as many editors do: they write a new file and rename it",
        next_step="restart haproxy's container, so that it sees the new file, and plan again",
    )


def _read(descriptor: int) -> bytes:
    raw = os.pread(descriptor, MAXIMUM_BYTES + 1, 0)
    if len(raw) > MAXIMUM_BYTES:
        raise OSError(27, "the file is too large")
    return raw


def _write_at(descriptor: int, raw: bytes, position: int) -> None:
    view = memoryview(raw)
    while view:
        written = os.pwrite(descriptor, view, position)
        view, position = view[written:], position + written
