"""The host's lock, held once by the whole watcher: its threads do not keep each other waiting; runs are kept out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from remedy.apply.lock import WATCHER, host_lock
from remedy.apply.settings import Settings


class SharedLock:
    """Taken by the first thread that needs it, and given back by the last.

    Of two threads one waits for the engine, the other writes rules in between: what they write is not the same.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._mutex = threading.Lock()
        self._holders = 0
        self._held = ExitStack()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Raises LockHeldError (a run is at work), InputError (no state can be kept)."""
        with self._mutex:
            if not self._holders:
                self._held.enter_context(host_lock(self._settings, WATCHER))
            self._holders += 1
        try:
            yield
        finally:
            with self._mutex:
                self._holders -= 1
                if not self._holders:
                    self._held.close()
