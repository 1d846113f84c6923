"""What happens to the containers of the recreations benchmark, in an order that a seed decides.

again      one is removed and made again: mostly with the address that it had
taken      a stranger takes its address in between, and serves the same port there
swapped    two are removed and made again the other way round: each has the other's address
together   three at once, in any order
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

Kind = Literal["again", "taken", "swapped", "together"]
KINDS: tuple[Kind, ...] = ("again", "taken", "swapped", "together")
_TOUCHED = {"again": 1, "taken": 1, "swapped": 2, "together": 3}
LONGEST_PAUSE_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class Move:
    """removed, started: the names in the order in which that happens; pause: seconds of rest after it."""

    kind: Kind
    removed: tuple[str, ...]
    started: tuple[str, ...]
    pause: float


def moves(names: Sequence[str], recreations: int, seed: str) -> Iterator[Move]:
    """Moves until so many containers have been made again. The same for the same seed."""
    random = Random(seed)  # noqa: S311 (an order, no secret)
    left = recreations
    while left > 0:
        fitting = [kind for kind in KINDS if _TOUCHED[kind] <= min(left, len(names))]
        kind = random.choice(fitting)
        removed = random.sample(list(names), _TOUCHED[kind])
        started = removed[::-1] if kind == "swapped" else random.sample(removed, len(removed))
        left -= len(removed)
        yield Move(kind, tuple(removed), tuple(started), random.uniform(0.0, LONGEST_PAUSE_SECONDS))
