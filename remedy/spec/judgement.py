"""What the planner says of a candidate for remedy.yaml, and what is made of it for each key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from remedy.spec.discovery import SeenPath
from remedy.spec.models import Spec

MAX_OBJECTIONS = 8


@dataclass(frozen=True, slots=True)
class Objection:
    """Why the planner refuses a candidate."""

    what: str
    why: str
    cure: str
    accepted_by: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the planner says of a candidate: would it change anything, what is unsafe, who travels how."""

    changes: bool
    objections: tuple[Objection, ...] = ()
    paths: tuple[SeenPath, ...] = ()
    is_useful: bool = True  # False: the planner warns that this remedy adds nothing here


Judge = Callable[[Spec], Judgement]


@dataclass(frozen=True, slots=True)
class Remedy:
    """One key of `remedies`: taken or left out, and why."""

    key: str
    value: str
    is_taken: bool
    reasons: tuple[str, ...]


def why_not(objections: Sequence[Objection]) -> tuple[str, ...]:
    """The reasons for leaving a remedy out, as texts for a comment."""
    shown = [f"Left out: {o.what}: {o.why}. Cure: {o.cure}" for o in objections[:MAX_OBJECTIONS]]
    if len(objections) > MAX_OBJECTIONS:
        shown.append(
            f"... and {len(objections) - MAX_OBJECTIONS} more reasons; with the key in, remedy plan shows them"
        )
    return tuple(shown)
