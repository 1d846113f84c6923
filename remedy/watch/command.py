"""How the watcher's own process is started."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

CONFIG, DAEMON_JSON, FORMAT, METRICS = "--config", "--daemon-json", "--format", "--metrics"
OPTIONS = (CONFIG, DAEMON_JSON, FORMAT, METRICS)
# One heap for all threads, given back: the watcher waits for nearly all of its life. No plugins of pydantic's: there
# are none, looking for them takes memory, and a service of root's would load what happens to lie there.
ENVIRONMENT = {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "0", "PYDANTIC_DISABLE_PLUGINS": "__all__"}


def command_line(spec_path: Path, daemon_json: str, extra: Sequence[str] = ()) -> tuple[str, ...]:
    """The words that start it, in this very Python."""
    # A link into a virtual environment must not be followed. -P: nothing is imported from the working directory.
    python = os.path.abspath(sys.executable)  # noqa: PTH100
    return (python, "-P", "-m", "remedy.watch", CONFIG, str(spec_path), DAEMON_JSON, daemon_json, *extra)


def become_the_watcher(spec_path: Path, daemon_json: str, extra: Sequence[str] = ()) -> None:
    """Go on as the watcher, with the same process id; does not return."""
    command = command_line(spec_path, daemon_json, extra)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], command, {**os.environ, **ENVIRONMENT})  # noqa: S606 (no shell)
