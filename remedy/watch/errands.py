"""`python -m remedy.watch.errands`: errands of the watcher's, each answer pickled to standard output.

Internal: started by remedy.watch.apart alone, of the same version, in the same Python.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from remedy import __version__
from remedy.apply.settings import Settings
from remedy.cli.garbage import collect_rarely
from remedy.errors import RemedyError

Errand = Callable[[Settings, Sequence[str]], Any]
Failure = tuple[str, str | None, str | None, str | None]  # a RemedyError's what, where, why, next


def look(settings: Settings, _words: Sequence[str]) -> Any:
    """The host in full, of which only what holding needs is handed over."""
    from remedy.facts.gathering import gather
    from remedy.plan.model import WriteRules
    from remedy.watch.applied import AppliedRuns
    from remedy.watch.kept import kept_for_rules, kept_for_sync

    actions = AppliedRuns(settings).read().actions
    # A run that begins after this look is looked for again; until then its pairs are followed by name.
    walks = any(isinstance(action, WriteRules) and action.ruleset.untracked for action in actions)
    facts = gather(socket=settings.socket, daemon_json_path=settings.daemon_json_path)
    return kept_for_sync(facts) if walks else kept_for_rules(facts)


def spec(_settings: Settings, words: Sequence[str]) -> Any:
    """remedy.yaml: what reads it with line and column is needed for a moment a month."""
    from remedy.spec.load import load_spec

    return load_spec(words[0])


def count(settings: Settings, words: Sequence[str]) -> Any:
    """How the known connections travel and what has drifted, for the metrics."""
    from remedy.watch.metrics import census

    return census.count(settings, Path(words[0]))


ERRANDS: dict[str, Errand] = {"look": look, "spec": spec, "count": count}


def main() -> None:
    """Do what each line of standard input names, until it ends."""
    collect_rarely()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else may be written among the answers
    threading.Thread(target=_end_with_the_watcher, name="remedy-watcher-ends", daemon=True).start()
    version, socket, state_dir, daemon_json = sys.argv[1:]
    settings = Settings(Path(state_dir), socket, daemon_json)
    while line := sys.stdin.readline():
        name, *words = json.loads(line)
        pickle.dump(_answer(version, name, settings, words), answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()


def _answer(version: str, name: str, settings: Settings, words: Sequence[str]) -> tuple[Any, Failure | None]:
    try:
        _check_version(version)
        return ERRANDS[name](settings, words), None
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
