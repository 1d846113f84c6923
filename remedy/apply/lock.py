"""One run of remedy per host at a time. The kernel drops the lock with its process, however that ends.

The watcher holds it for one transaction at a time, a moment each, or as long as the engine needs to connect containers:
who finds it held by the watcher waits for that.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from remedy.apply.settings import Settings
from remedy.errors import InputError, LockHeldError
from remedy.host.files import make_private_directory

if TYPE_CHECKING:
    from filelock import FileLock

# `remedy status` looks whether the lock is held by taking it for an instant: that is nobody at work.
PATIENCE_SECONDS = 0.3
LOOK_SECONDS = 0.1
WATCHER = "watch"  # the purpose under which the watcher holds it
WATCHER_PATIENCE_SECONDS = 10.0


@contextmanager
def host_lock(settings: Settings, purpose: str) -> Iterator[None]:
    """Hold the host's lock. Raises LockHeldError, which names the holder, after settings.lock_timeout_seconds.

    Raises InputError when remedy cannot keep its state there (a full or read-only file system).
    """
    from filelock import FileLock, Timeout

    # Whoever of the watcher's threads is the last to need it gives it back.
    lock = FileLock(settings.state_dir / "lock", mode=0o600, thread_local=False)
    note = settings.state_dir / "lock-holder.json"
    try:
        make_private_directory(settings.state_dir)
        _acquire(lock, note, settings.lock_timeout_seconds)
    except Timeout as error:
        raise LockHeldError(
            "another remedy is at work on this host",
            where=str(settings.state_dir / "lock"),
            why=_holder(note),
            next_step="wait until it is done; `remedy status` shows what it did",
        ) from error
    except OSError as error:
        raise InputError(
            "remedy cannot keep its state",
            where=str(settings.state_dir),
            why=error.strerror,
            next_step="make room there, or the file system writable; nothing was changed",
        ) from error
    try:
        _sign(note, purpose)
        yield
    finally:
        with suppress(OSError):
            note.unlink(missing_ok=True)
        lock.release()


def _acquire(lock: FileLock, note: Path, seconds: float) -> None:
    """Raises filelock.Timeout, OSError."""
    from filelock import Timeout

    until = time.monotonic() + WATCHER_PATIENCE_SECONDS
    while True:
        try:
            lock.acquire(timeout=max(seconds, PATIENCE_SECONDS), poll_interval=0.05)
        except Timeout:
            # None: it is just beginning or just ending; a watcher does so all the time.
            if _purpose(note) not in (WATCHER, None) or time.monotonic() > until:
                raise
        else:
            return


def lock_is_held(settings: Settings) -> bool:
    """Whether a living process holds the lock now."""
    from filelock import FileLock, Timeout

    path = settings.state_dir / "lock"
    if not path.exists():
        return False
    lock = FileLock(path, mode=0o600)
    try:
        lock.acquire(timeout=LOOK_SECONDS, poll_interval=0.01)
    except Timeout:
        return True
    lock.release()
    return False


def _sign(note: Path, purpose: str) -> None:
    # Only for whoever finds the lock held: a full disk must not keep a rollback from working.
    described = {"pid": os.getpid(), "doing": purpose, "since": datetime.now(UTC).isoformat()}
    with suppress(OSError):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(note, flags, 0o600), "w") as file:
            file.write(json.dumps(described))


def _purpose(note: Path) -> str | None:
    try:
        return str(json.loads(note.read_text())["doing"])
    except (OSError, ValueError, KeyError):
        return None


def _holder(note: Path) -> str | None:
    try:
        known = json.loads(note.read_text())
        return f"process {known['pid']} has been doing `{known['doing']}` since {known['since']}"
    except (OSError, ValueError, KeyError):
        return None
