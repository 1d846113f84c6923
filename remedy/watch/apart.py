"""What needs much memory or time is done by a process of its own, which gives all of it back.

A look at the host in full would leave the watcher twice as large as it was: Python keeps what it once had. And apart,
looking and deciding do not hold up who takes a dead container's rules away meanwhile. The process stays for a moment,
because looks come in bursts and its start is half a second of a processor.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from functools import partial
from threading import RLock, Timer
from typing import Any

from remedy import __version__
from remedy.apply.settings import Settings
from remedy.errors import EngineError, RemedyError

LONGEST_SECONDS = 600.0
PATIENCE_SECONDS = {"join": 60.0}  # for which no run can begin
STAYS_SECONDS = 15.0
PROTOCOL = pickle.HIGHEST_PROTOCOL


class Apart:
    """Does errands of remedy.watch.errands, one after the other, in a process that goes when nothing comes."""

    def __init__(self, settings: Settings, stays: float = STAYS_SECONDS) -> None:
        self._settings = settings
        self._stays = stays
        self._lock = RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ends: Timer | None = None
        self._asked = 0

    def do(self, errand: str, *values: object) -> Any:
        """The errand's answer. Raises RemedyError."""
        with self._lock:
            self._asked += 1
            if self._ends is not None:
                self._ends.cancel()
            try:
                answer, error = self._ask(errand, values)
            except BaseException:
                self.close()
                raise
            self._ends = Timer(self._stays, partial(self._close_after, self._asked))
            self._ends.daemon = True
            self._ends.start()
        if error is not None:
            what, where, why, next_step = error
            raise RemedyError(what, where=where, why=why, next_step=next_step)
        return answer

    def close(self) -> None:
        """End the process, if there is one."""
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                process.kill()
                process.communicate()

    def _close_after(self, asked: int) -> None:
        with self._lock:
            if asked == self._asked:  # else it was asked once more while this waited
                self.close()

    def _ask(self, errand: str, values: tuple[object, ...]) -> Any:
        if self._process is None:
            self._process = _start(self._settings)
        process = self._process
        patience = Timer(PATIENCE_SECONDS.get(errand, LONGEST_SECONDS), process.kill)
        patience.daemon = True
        patience.start()
        try:
            assert process.stdin is not None  # noqa: S101 (both are pipes)
            assert process.stdout is not None  # noqa: S101
            # The values packed up once more: who is of another version must not unpack them.
            pickle.dump((errand, pickle.dumps(values, protocol=PROTOCOL)), process.stdin, protocol=PROTOCOL)
            process.stdin.flush()
            return pickle.load(process.stdout)  # noqa: S301 (our own child's)
        except (OSError, EOFError, pickle.UnpicklingError) as lost:
            process.kill()
            raise EngineError(
                f"the {errand} in a process of its own gave no answer",
                why=f"its exit status is {process.wait()}",
                next_step="what it said stands above, if it could say anything",
            ) from lost
        finally:
            patience.cancel()


def done_apart(errand: str, settings: Settings, *values: object) -> Any:
    """The answer to one errand, whose process goes at once. Raises RemedyError."""
    apart = Apart(settings)
    try:
        return apart.do(errand, *values)
    finally:
        apart.close()


def _start(settings: Settings) -> subprocess.Popen[bytes]:
    command = (
        sys.executable,
        *("-P", "-m", "remedy.watch.errands"),  # -P: nothing is imported from the directory we happen to be in
        *(__version__, settings.socket, str(settings.state_dir), settings.daemon_json_path),
    )
    # Its standard input ends with us, and that ends it; ^C is ours alone to answer.
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)
