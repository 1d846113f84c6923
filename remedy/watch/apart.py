"""What needs much memory for a moment is done by a process of its own, which gives all of it back.

A look at the host in full would leave the watcher twice as large as it was: Python keeps what it once had. And apart
it does not hold up who takes a dead container's rules away meanwhile.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from threading import Timer
from typing import Any

from remedy import __version__
from remedy.apply.settings import Settings
from remedy.errors import EngineError, RemedyError

LONGEST_SECONDS = 600.0


def done_apart(errand: str, settings: Settings, *words: str) -> Any:
    """Do this errand of remedy.watch.errands. Raises RemedyError."""
    command = (
        sys.executable,
        *("-P", "-m", "remedy.watch.errands"),  # -P: nothing is imported from the directory we happen to be in
        *(__version__, errand, settings.socket, str(settings.state_dir), settings.daemon_json_path, *words),
    )
    # Its standard input ends with us, and that ends it; ^C is ours alone to answer.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0) as process:
        patience = Timer(LONGEST_SECONDS, process.kill)
        patience.daemon = True
        patience.start()
        try:
            answer, error = pickle.load(process.stdout)  # type: ignore[arg-type]  # noqa: S301 (a pipe, our own child)
        except (EOFError, pickle.UnpicklingError) as lost:
            process.kill()
            raise EngineError(
                f"the {errand} in a process of its own gave no answer",
                why=f"its exit status is {process.wait()}",
                next_step="what it said stands above, if it could say anything",
            ) from lost
        finally:
            patience.cancel()
            process.kill()
    if error is not None:
        what, where, why, next_step = error
        raise RemedyError(what, where=where, why=why, next_step=next_step)
    return answer
