"""What the metrics are made of: values that the loop leaves behind in passing, and that a scrape reads without waiting.

Each is replaced as a whole, by one thread: nobody who reads sees half of it, and nobody waits for a lock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

WallClock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Standing:
    """What is applied, and the rules of remedy's that stand. waiting: a run is at work, pending or interrupted."""

    runs: int = 0
    waiting: bool = False
    redirects: int = 0
    untracked_pairs: int = 0


@dataclass(frozen=True, slots=True)
class Activity:
    """What the watcher did since it was started. Moments are seconds since 1970; None: not yet."""

    transactions: int = 0
    errors: int = 0
    syncs: int = 0
    last_sync: float | None = None
    last_sync_seconds: float | None = None
    engine_connected: bool = False
    standing: Standing = Standing()


@dataclass(frozen=True, slots=True)
class Counted:
    """What takes long to count: known ways of connections by how they travel, and what has drifted."""

    paths: Mapping[str, int] = field(default_factory=dict)
    drift: int = 0
    docker_proxies: int = 0
    at: float = 0.0


class Meter:
    """The values of now. The activity is told by the loop's thread alone, what was counted by the one that counts."""

    def __init__(self, clock: WallClock = time.time) -> None:
        self._clock = clock
        self.activity = Activity()
        self.counted: Counted | None = None
        self._not_counted = 0
        self.stale = threading.Event()  # something may have changed since it was counted

    def followed(self, standing: Standing) -> None:
        """A transaction was written, after which this stands."""
        self.activity = replace(self.activity, transactions=self.activity.transactions + 1, standing=standing)
        self.stale.set()

    def failed(self) -> None:
        """Something went wrong, and will be tried again."""
        self.activity = replace(self.activity, errors=self.activity.errors + 1)

    def connected(self, *, is_connected: bool) -> None:
        """The engine tells its events, or does not any more."""
        self.activity = replace(self.activity, engine_connected=is_connected)

    def standing(self, standing: Standing) -> None:
        """What is applied, and the rules that are held."""
        self.activity = replace(self.activity, standing=standing)

    def synced(self, seconds: float) -> None:
        """Everything was looked at and is right, which took so long."""
        self.activity = replace(
            self.activity,
            syncs=self.activity.syncs + 1,
            last_sync=self._clock(),
            last_sync_seconds=seconds,
        )
        self.stale.set()

    @property
    def errors(self) -> int:
        """What went wrong."""
        return self.activity.errors + self._not_counted

    def not_counted(self) -> None:
        """It could not be counted."""
        self._not_counted += 1

    def count(self, counted: Counted) -> None:
        """It was counted now."""
        self.counted = replace(counted, at=self._clock())
