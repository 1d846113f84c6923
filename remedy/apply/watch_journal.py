"""The watcher's own journal: each of its transactions, announced before and ended after, however many there were.

For whoever asks later what was done and why (`remedy history`), and for a rollback that finds one cut off in the
middle. What an undo needs is elsewhere (remedy.apply.followed). Only the newest are kept.

A power cut may take the last ones along: with it go the rules that they tell of, and on a busy disk a rule would wait a
tenth of a second for its record.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from remedy.apply.journal import Clock, Journal, read_journal, utc_now
from remedy.host.files import make_private_directory, write_atomically

FILE = "watch.jsonl"
MOST_BYTES = 1 << 19
KEPT_LINES = 600

End = Literal["done", "failed", "interrupted"]
_ENDS: dict[str, End] = {"done": "done", "failed": "failed", "interrupted": "interrupted"}


@dataclass(frozen=True, slots=True)
class Transaction:
    """One change of the watcher's. end None: at work, or killed; interrupted: the next watcher has seen to it."""

    id: str
    run: str
    started: datetime
    why: tuple[str, ...]
    actions: tuple[str, ...]
    ended: datetime | None = None
    end: End | None = None
    error: str | None = None
    writes_rules: bool = True


class WatchJournal:
    """Appends transactions, from any thread. Raises OSError (disk full)."""

    def __init__(self, state_dir: Path, clock: Clock = utc_now) -> None:
        self._directory = state_dir
        self._path = state_dir / FILE
        self._clock = clock
        self._mutex = threading.Lock()

    def begin(self, run: str, why: Sequence[str], actions: Sequence[str], *, writes_rules: bool = True) -> str:
        """Announce a transaction; return its id."""
        make_private_directory(self._directory)
        with self._mutex:
            self._keep_small()
        identity = f"{self._clock():%Y%m%d-%H%M%S}-w{secrets.token_hex(2)}"
        what = {"why": list(why), "actions": list(actions), **({} if writes_rules else {"writes_rules": False})}
        self._write("intent", identity, run=run, **what)
        return identity

    def end(self, identity: str, error: str | None = None) -> None:
        """It is done, or has failed."""
        if error is None:
            self._write("done", identity)
        else:
            self._write("failed", identity, error=error)

    def settle(self) -> None:
        """Transactions in whose middle the watcher was killed count as ended: all of the host was looked at since.

        For who has none at work.
        """
        for known in transactions(self._directory):
            if known.end is None:
                self._write("interrupted", known.id)

    def _write(self, event: str, identity: str, **data: object) -> None:
        with self._mutex, closing(Journal(self._path, self._clock, durable=False)) as journal:
            journal.write(event, identity, **data)

    def _keep_small(self) -> None:
        try:
            if self._path.stat().st_size < MOST_BYTES:
                return
        except FileNotFoundError:
            return
        newest = self._path.read_bytes().splitlines(keepends=True)[-KEPT_LINES:]
        write_atomically(self._path, b"".join(newest), mode=0o600)


def transactions(state_dir: Path) -> tuple[Transaction, ...]:
    """What the watcher has done, the oldest first. Raises OSError."""
    found: dict[str, Transaction] = {}
    for record in read_journal(state_dir / FILE):
        identity, data = record.action or "", record.data
        if record.event == "intent":
            why, actions = tuple(data.get("why", ())), tuple(data.get("actions", ()))
            found[identity] = Transaction(
                identity,
                str(data.get("run", "")),
                record.time,
                why,
                actions,
                writes_rules=bool(data.get("writes_rules", True)),
            )
        elif identity in found and record.event in _ENDS:
            found[identity] = replace(
                found[identity], ended=record.time, end=_ENDS[record.event], error=data.get("error")
            )
    return tuple(found.values())


def was_cut_off(state_dir: Path) -> bool:
    """Whether the newest transaction that writes rules never ended: it is at work, or its process was killed."""
    known = [one for one in transactions(state_dir) if one.writes_rules]
    return bool(known) and known[-1].end is None
