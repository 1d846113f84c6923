"""What the watcher tells, a line each."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from remedy.cli.views.escape import escape

if TYPE_CHECKING:
    from remedy.watch.told import Told

SHOWN_REASONS = 4


def teller(*, as_json: bool) -> Callable[[Told], None]:
    """What writes each event to standard output. systemd's journal puts the time before a line itself."""
    with_time = "JOURNAL_STREAM" not in os.environ or sys.stdout.isatty()
    return lambda told: write_line(json_line(told) if as_json else text_line(told, with_time=with_time))


def text_line(told: Told, *, with_time: bool) -> str:
    """One line for a person: when, what was done, why, and how long it took."""
    moment = f"{told.time.astimezone():%H:%M:%S} " if with_time else ""
    reasons = ", ".join(told.why[:SHOWN_REASONS])
    more = f" and {len(told.why) - SHOWN_REASONS} more" if len(told.why) > SHOWN_REASONS else ""
    because = f" [{reasons}{more}]" if reasons else ""
    took = "" if told.seconds is None else f" ({told.seconds:.2f} s)"
    return escape(f"{moment}{told.event}: {told.text}{because}{took}")


def json_line(told: Told) -> str:
    """One JSON document in a line; ASCII, so that names of containers stay harmless on a terminal."""
    import json

    return json.dumps(told.model_dump(mode="json"), ensure_ascii=True)


def write_line(line: str) -> None:
    """To standard output. Nobody reading there (a closed terminal, a full disk) does not stop the watcher."""
    with suppress(OSError, ValueError):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
