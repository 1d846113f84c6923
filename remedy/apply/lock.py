"""One run of remedy per host at a time. The kernel drops the lock with its process, however that ends."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from remedy.apply.settings import Settings
from remedy.errors import LockHeldError
from remedy.host.files import make_private_directory


@contextmanager
def host_lock(settings: Settings, purpose: str) -> Iterator[None]:
    """Hold the host's lock. Raises LockHeldError, which names the holder, after settings.lock_timeout_seconds."""
    from filelock import FileLock, Timeout

    make_private_directory(settings.state_dir)
    lock = FileLock(settings.state_dir / "lock", mode=0o600)
    note = settings.state_dir / "lock-holder.json"
    try:
        lock.acquire(timeout=settings.lock_timeout_seconds, poll_interval=0.05)
    except Timeout as error:
        raise LockHeldError(
            "another remedy is at work on this host",
            where=str(settings.state_dir / "lock"),
            why=_holder(note),
            next_step="wait until it is done; `remedy status` shows what it did",
        ) from error
    try:
        note.write_text(json.dumps({"pid": os.getpid(), "doing": purpose, "since": datetime.now(UTC).isoformat()}))
        note.chmod(0o600)
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def lock_is_held(settings: Settings) -> bool:
    """Whether a living process holds the lock now."""
    from filelock import FileLock, Timeout

    path = settings.state_dir / "lock"
    if not path.exists():
        return False
    lock = FileLock(path, mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def _holder(note: Path) -> str | None:
    try:
        known = json.loads(note.read_text())
        return f"process {known['pid']} has been doing `{known['doing']}` since {known['since']}"
    except (OSError, ValueError, KeyError):
        return None
