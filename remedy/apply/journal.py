"""The write-ahead journal of a run: a JSON record a line, synced before and after each action.

A kill at any instruction leaves either no record (nothing was done) or an intent with everything that the undo
needs. A last line that was cut off by a crash is ignored: its action had not begun.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from remedy.host.files import make_private_directory, sync_directory

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Record:
    """One line: event, the action it is about (if any), and what else it carries."""

    time: datetime
    event: str
    action: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


class Journal:
    """Appends to one run's journal; open it by `Journal.create` or `Journal.reopen`."""

    def __init__(self, path: Path, clock: Clock = utc_now, *, durable: bool = True) -> None:
        """durable: each record is on the disk before `write` returns; else a kill loses none, a power cut may."""
        self.path = path
        self._durable = durable
        self._clock = clock
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o600)
        self._cut_half_line()

    @classmethod
    def create(cls, directory: Path, clock: Clock = utc_now) -> Journal:
        """A new journal in a new private directory."""
        make_private_directory(directory)
        journal = cls(directory / "journal.jsonl", clock)
        sync_directory(directory)
        sync_directory(directory.parent)
        return journal

    def write(self, event: str, action: str | None = None, **data: Any) -> None:
        """Append a record, and make it durable before returning. Raises OSError (disk full)."""
        record = {"time": self._clock().isoformat(), "event": event, "action": action, "data": data}
        line = (json.dumps(record, separators=(",", ":")) + "\n").encode()
        size = os.fstat(self._descriptor).st_size
        try:
            if os.write(self._descriptor, line) != len(line):
                raise OSError(28, "the journal could not be written whole")
            if self._durable:
                os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, size)  # no half line for the next record to be glued to
            raise

    def _cut_half_line(self) -> None:
        """A kill in the middle of a write leaves half a line; the next record must not be glued to it."""
        size = os.fstat(self._descriptor).st_size
        whole = os.pread(self._descriptor, size, 0).rfind(b"\n") + 1
        if whole != size:
            os.ftruncate(self._descriptor, whole)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def read_journal(path: Path) -> tuple[Record, ...]:
    """All whole records of a journal; () when there is none."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return ()
    records = []
    for line in lines:
        try:
            raw = json.loads(line)
            records.append(Record(datetime.fromisoformat(raw["time"]), raw["event"], raw["action"], raw["data"]))
        except (ValueError, KeyError, TypeError):
            continue  # a line that a crash cut off: what it announced had not begun
    return tuple(records)
