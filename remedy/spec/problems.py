"""What is wrong with a remedy.yaml, and where: collected first, raised once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from remedy.errors import SpecError

MAX_LISTED = 30


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the file, counted from 1 as editors do."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    key: the path of the key, `backends[0].port`; "" for the file as a whole.
    what: the fault and what was expected instead, half a sentence.
    did_you_mean: the nearest valid key or value.
    """

    file: str
    position: Position | None
    key: str
    what: str
    did_you_mean: str | None = None

    @property
    def where(self) -> str:
        """file:line:column."""
        if self.position is None:
            return self.file
        return f"{self.file}:{self.position.line}:{self.position.column}"

    @property
    def sentence(self) -> str:
        """The problem without its place."""
        named = f"{self.key}: {self.what}" if self.key else self.what
        return f"{named}; did you mean {self.did_you_mean}?" if self.did_you_mean else named

    def as_json(self) -> dict[str, object]:
        """Return the problem as plain values."""
        described = asdict(self)
        position = described.pop("position")
        return {**described, "line": position and position["line"], "column": position and position["column"]}


class InvalidSpecError(SpecError):
    """remedy.yaml says something that it cannot say; `problems` has all of it, in the file's order."""

    def __init__(self, problems: Sequence[Problem], *, next_step: str | None = None) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.position or Position(0, 0)))
        first = self.problems[0]
        if len(self.problems) == 1:
            super().__init__(first.sentence, where=first.where, next_step=next_step)
            return
        super().__init__(
            f"{len(self.problems)} things are wrong",
            where=first.file,
            why="\n".join(_listed(self.problems)),
            next_step=next_step,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the error as plain values, each problem among them."""
        return {**super().as_json(), "problems": [problem.as_json() for problem in self.problems]}


def _listed(problems: Sequence[Problem]) -> Iterator[str]:
    yield from (f"{problem.where}: {problem.sentence}" for problem in problems[:MAX_LISTED])
    if len(problems) > MAX_LISTED:
        yield f"... and {len(problems) - MAX_LISTED} more"


def problem_error(
    what: str, file: str, position: Position | None = None, *, key: str = "", next_step: str | None = None
) -> InvalidSpecError:
    """Return the error for a single problem."""
    return InvalidSpecError([Problem(file, position, key, what)], next_step=next_step)
