"""What `make captures` prints, and the lines of its answer file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from remedy.captures.questions import ERRORS, Outcome, Question
from remedy.captures.score import Miss, Score, is_wrong


def lines_of(score: Score) -> Iterator[str]:
    """Give a capture's line, and one for each question that was missed."""
    told = f"{score.wrong:>4} wrong" if score.is_scored else "not scored"
    yield f"{score.capture:<48} {score.cells:>5} cells, {told}, {score.unknown:>4} unknown"
    yield from map(_miss, score.misses)


def conntrack_lines(scores: Sequence[Score]) -> Iterator[str]:
    """Give a line for each right answer that counts other conntrack entries than were seen."""
    for miss in (miss for score in scores for miss in score.miscounted):
        question, seen = miss.question, miss.truth.conntrack_entries if miss.truth else None
        place = f"{question.capture} {question.cell} {question.bridge_nf}"
        yield f"  {place}: {seen} conntrack entries; answered {miss.answer.conntrack_entries}"


def last_line(scores: Sequence[Score]) -> str:
    """Sum up."""
    cells = sum(score.cells for score in scores)
    wrong = sum(score.wrong for score in scores)
    unknown = sum(score.unknown for score in scores)
    return f"{cells} cells, {wrong} wrong, {unknown} unknown"


def answer_line(question: Question, answer: Outcome) -> str:
    """Return a question's answer as a line of JSON."""
    return json.dumps(
        {
            "dir": question.capture,
            "id": question.cell,
            "nf": question.bridge_nf,
            "ok": answer.ok,
            "by": answer.by,
            "src": None if answer.source is None else str(answer.source),
            "proxy": answer.by_proxy,
            "err": None if answer.failure is None else ERRORS[answer.failure],
            "conntrack_entries": answer.conntrack_entries,
        }
    )


def _miss(miss: Miss) -> str:
    kind = "wrong  " if is_wrong(miss) else "unknown"
    truth = "" if miss.truth is None else f" is {_text(miss.truth)};"
    return f"  {kind} {miss.question.cell} {miss.question.bridge_nf}:{truth} answered {_text(miss.answer)}"


def _text(outcome: Outcome) -> str:
    if outcome.ok is None:
        return f"unknown ({outcome.reason})" if outcome.reason else "unknown"
    if not outcome.ok:
        return str(outcome.failure or "a failure of no kind")
    return f"by {outcome.by}, source {outcome.source}{', docker-proxy' if outcome.by_proxy else ''}"
