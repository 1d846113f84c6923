"""What the watcher says of itself: one value for each line, of which the text and the JSON are made."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from remedy.frozen import Frozen

Kind = Literal[
    "started",
    "stopped",
    "idle",  # nothing is applied, or a run waits
    "followed",  # a transaction
    "checked",  # a full look that found nothing to do
    "failed",
    "spec-loaded",
    "spec-invalid",
    "engine-lost",
    "engine-found",
    "warning",
]


class Told(Frozen):
    """One event. why: what made it look; actions: what it did, a sentence each; seconds: how long that took."""

    time: datetime
    event: Kind
    text: str
    why: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    run: str | None = None
    transaction: str | None = None
    seconds: float | None = None
