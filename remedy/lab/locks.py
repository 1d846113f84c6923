"""Locks that leave no file behind: an flock on the directory that is to be protected.

The kernel drops the lock with its holder, however it dies. A directory may be removed by its holder; whoever
waited then notices that its lock is on a directory that has gone, and starts again.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.05


def try_lock(directory: Path) -> int | None:
    """A file descriptor that holds the lock, or None when another process holds it.

    The directory must exist (FileNotFoundError). Closing the descriptor releases the lock; it is not
    inherited by programs that are started meanwhile.
    """
    while True:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if _is_still(descriptor, directory):
            return descriptor
        os.close(descriptor)


@contextmanager
def locked(
    directory: Path, *, create: bool = False, on_wait: Callable[[float], None] = lambda _: None
) -> Iterator[None]:
    """Hold the lock; `on_wait` is called with the seconds waited so far while another process has it.

    With `create` the directory is made when it is missing, else FileNotFoundError is raised.
    """
    began = time.monotonic()
    while (descriptor := _attempt(directory, create)) is None:
        on_wait(time.monotonic() - began)
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        os.close(descriptor)


def _attempt(directory: Path, create: bool) -> int | None:
    while True:
        try:
            if create:
                directory.mkdir(parents=True, exist_ok=True)
            return try_lock(directory)
        except FileNotFoundError:  # Somebody has removed it, or its parent, in between.
            if not create:
                raise


def _is_still(descriptor: int, directory: Path) -> bool:
    held = os.fstat(descriptor)
    try:
        named = directory.stat()
    except FileNotFoundError:
        return False
    return (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino)
