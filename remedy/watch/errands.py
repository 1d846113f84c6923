"""`python -m remedy.watch.errands`: errands of the watcher's, asked for and answered in pickles.

Internal: started by remedy.watch.apart alone, of the same version, in the same Python.
"""

from __future__ import annotations

import os
import pickle
import select
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remedy import __version__
from remedy.apply.settings import Settings
from remedy.errors import RemedyError
from remedy.garbage import collect_rarely

if TYPE_CHECKING:
    from remedy.facts.model import HostFacts
    from remedy.firewall.ruleset import Ruleset
    from remedy.spec.models import Spec
    from remedy.watch.deciding import Decided
    from remedy.watch.joining import Join
    from remedy.watch.metrics.meter import Counted

Failure = tuple[str, str | None, str | None, str | None]  # a RemedyError's what, where, why, next


class Errands:
    """Each by its name. A decision is made by the look before it, of which nothing stays."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._looked: HostFacts | None = None

    def prepare(self) -> None:
        """Import what a look needs: half a second of a processor, which nobody has to wait for later."""
        import remedy.facts.gathering
        import remedy.watch.deciding  # noqa: F401

    def look(self) -> tuple[str, ...]:
        """At the host in full. Return what could not be read and may not be guessed. Raises RemedyError."""
        from remedy.facts.gathering import gather
        from remedy.plan.held import unread_for_holding

        self._looked = gather(socket=self._settings.socket, daemon_json_path=self._settings.daemon_json_path)
        return unread_for_holding(self._looked)

    def decide(self, spec: Spec, last: Ruleset | None) -> Decided:
        """What has to be done. Raises RemedyError."""
        from remedy.watch.deciding import decide

        looked, self._looked = self._looked, None
        if looked is None:
            raise RemedyError("the host was not looked at", why="the process that did has gone")
        return decide(self._settings, looked, spec, last)

    def join(self, joins: Sequence[Join]) -> tuple[str, ...]:
        """What needs the engine's help: networks, own conntrack tables. Return a sentence for each that is done.

        Raises RemedyError, OSError.
        """
        from remedy.watch.joining import join

        return join(self._settings, joins)

    def spec(self, path: Path) -> Spec:
        """remedy.yaml: what reads it with line and column is needed for a moment a month. Raises RemedyError."""
        from remedy.spec.load import load_spec

        return load_spec(path)

    def count(self, spec_path: Path) -> Counted:
        """How the known connections travel and what has drifted, for the metrics. Raises RemedyError."""
        from remedy.watch.metrics import census

        return census.count(self._settings, spec_path)


def main() -> None:
    """Do what standard input asks for, until it ends."""
    collect_rarely()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else may be written among the answers
    threading.Thread(target=_end_with_the_watcher, name="remedy-watcher-ends", daemon=True).start()
    version, socket, state_dir, daemon_json = sys.argv[1:]
    errands = Errands(Settings(Path(state_dir), socket, daemon_json))
    while True:
        try:
            name, values = pickle.load(sys.stdin.buffer)  # noqa: S301 (likewise)
        except EOFError:
            return
        pickle.dump(_answer(version, errands, name, values), answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()


def _answer(version: str, errands: Errands, name: str, values: bytes) -> tuple[Any, Failure | None]:
    try:
        _check_version(version)
        return getattr(errands, name)(*pickle.loads(values)), None  # noqa: S301 (from the watcher that started us)
    except RemedyError as error:
        return None, (error.what, error.where, error.why, error.next_step)
    except Exception as error:
        return None, (f"internal error: {type(error).__name__}: {error}", None, None, None)


def _check_version(watchers: str) -> None:
    if watchers != __version__:
        raise RemedyError(
            f"the watcher is remedy {watchers}, and installed is {__version__}",
            why="it was replaced while the watcher was running",
            next_step="systemctl restart remedy-watch",
        )


def _end_with_the_watcher() -> None:
    """In the middle of an errand, too: whoever waited for it is gone."""
    waiting = select.poll()
    waiting.register(0, 0)  # its other end is closed: all else is for the one who reads
    waiting.poll()
    os._exit(1)


if __name__ == "__main__":
    main()
