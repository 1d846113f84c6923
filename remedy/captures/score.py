"""How right the answers are: per capture and over all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from remedy.captures.questions import Cell, Outcome, Question


@dataclass(frozen=True, slots=True)
class Miss:
    """A question whose answer is not, or not in all, what it should be. truth None: it is not told."""

    question: Question
    truth: Outcome | None
    answer: Outcome


@dataclass(frozen=True, slots=True)
class Score:
    """The result of one capture. A cell is wrong, else unknown, if either of its questions is.

    miscounted: right answers of connections that came about with another number of conntrack entries. They do not
    count as wrong: an entry may have lived too short to be recorded, or been somebody else's.
    """

    capture: str
    cells: int
    wrong: int
    unknown: int
    is_scored: bool
    misses: tuple[Miss, ...] = ()
    miscounted: tuple[Miss, ...] = ()


def score(
    capture: str, answered: Iterable[tuple[Cell, tuple[tuple[Question, Outcome], ...]]], *, is_scored: bool
) -> Score:
    """Hold the answers against the truth."""
    cells = wrong = unknown = 0
    misses: list[Miss] = []
    miscounted: list[Miss] = []
    for cell, pairs in answered:
        compared = [Miss(question, cell.truth.get(question.bridge_nf), answer) for question, answer in pairs]
        missed = [miss for miss in compared if not _is_right(miss)]
        miscounted += (one for one in compared if _is_right(one) and _is_miscounted(one))
        cells += 1
        wrong += any(is_wrong(miss) for miss in missed)
        unknown += bool(missed) and not any(is_wrong(miss) for miss in missed)
        misses += missed
    return Score(capture, cells, wrong, unknown, is_scored, tuple(misses), tuple(miscounted))


def is_wrong(miss: Miss) -> bool:
    """Whether something was claimed that is not so; no claim is not wrong."""
    return miss.answer.ok is not None and not _is_right(miss)


def _is_right(miss: Miss) -> bool:
    if miss.answer.ok is None:
        return False
    return miss.truth is None or miss.answer.agrees_with(miss.truth)


def _is_miscounted(miss: Miss) -> bool:
    entries = miss.truth.conntrack_entries if miss.truth is not None and miss.truth.ok else None
    return entries is not None and entries != miss.answer.conntrack_entries
