"""A connection drawn hop by hop along a rail, alone or beside another one with what differs marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from remedy.cli.views.escape import escape
from remedy.cli.views.layout import Cell

_ENDS = {True: ("✓", "bold green"), False: ("✗", "bold red"), None: ("?", "bold yellow")}
_NARROWEST = 24  # a rule that has less room than that is no longer readable
_GUTTER = 3

Block = list[Text]


class Drawing:
    """One connection's steps as blocks of lines; width None: lines are never wrapped."""

    def __init__(
        self,
        console: Console,
        path: dict[str, Any],
        width: int | None,
        changed: frozenset[int] = frozenset(),
        sign: Cell = " ",
    ) -> None:
        self._console, self._width = console, width
        self._path = path
        self._changed, self._sign = changed, sign

    def blocks(self) -> list[Block]:
        """Return a block for each step."""
        return [self._block(number, step) for number, step in enumerate(self._path["steps"])]

    def _block(self, number: int, step: dict[str, str]) -> Block:
        is_last = number == len(self._path["steps"]) - 1
        symbol, style = _ENDS[self._path["reachable"]] if is_last else ("●" if number == 0 else "▼", "cyan")
        rail = " " if is_last else "│"
        where = Text(escape(step["where"]), _style_of(step["where"]))
        head = Text.assemble(where, ": ", escape(step["what"]))
        mark = self._sign if number in self._changed else " "
        lines = [self._line(mark, (symbol, style), " ", head)]
        lines += [self._line(mark, (rail, "cyan"), "   ", Text(line, "dim")) for line in [escape(step["why"])] if line]
        return [piece for line in lines for piece in line]

    def _line(self, mark: Cell, symbol: Cell, space: str, content: Text) -> Block:
        """Wrap the content, with the rail beside every further line of it."""
        rail = (" " if symbol[0] in ("✓", "✗", "?", " ") else "│", "cyan")
        prefix = Text.assemble(mark, " ", symbol, space)
        pieces = self._wrapped(content, cell_len(prefix.plain))
        return [
            Text.assemble(prefix, piece) if first else Text.assemble(mark, " ", rail, space, "  ", piece)
            for first, piece in zip_longest([True], pieces)
        ]

    def _wrapped(self, content: Text, taken: int) -> list[Text]:
        if self._width is None:
            return [content]
        room = max(self._width - taken - 2, _NARROWEST)
        pieces = content.wrap(self._console, room, overflow="fold")
        for piece in pieces:
            piece.rstrip()
        return list(pieces) or [content]


def _style_of(where: str) -> str:
    return "bold yellow" if where.startswith("docker-proxy") else "bold"


def changed_steps(path: dict[str, Any], after: dict[str, Any]) -> tuple[frozenset[int], frozenset[int]]:
    """Return the numbers of the steps that only one of both has."""
    gone, new = set[int](), set[int]()
    for tag, low, high, low_after, high_after in _compare(path, after):
        if tag != "equal":
            gone.update(range(low, high))
            new.update(range(low_after, high_after))
    return frozenset(gone), frozenset(new)


def _compare(path: dict[str, Any], after: dict[str, Any]) -> Sequence[tuple[str, int, int, int, int]]:
    mine, others = ([tuple(step.values()) for step in each["steps"]] for each in (path, after))
    return SequenceMatcher(None, mine, others, autojunk=False).get_opcodes()


def beside_each_other(
    console: Console, left: tuple[str, dict[str, Any]], right: tuple[str, dict[str, Any]]
) -> Iterator[Text]:
    """Yield the lines of two drawings in two columns, each under its title, equal steps in the same row."""
    width = (console.width - _GUTTER) // 2
    (left_title, path), (right_title, after) = left, right
    gone, new = changed_steps(path, after)
    blocks = Drawing(console, path, width, gone, ("-", "red")).blocks()
    blocks_after = Drawing(console, after, width, new, ("+", "green")).blocks()
    yield _row(Text(left_title, "bold"), Text(right_title, "bold"), width)
    for tag, low, high, low_after, high_after in _compare(path, after):
        if tag == "equal":
            for mine, other in zip(blocks[low:high], blocks_after[low_after:high_after], strict=True):
                yield from _rows(mine, other, width, (high < len(blocks), high_after < len(blocks_after)))
            continue
        mine = [line for block in blocks[low:high] for line in block]
        other = [line for block in blocks_after[low_after:high_after] for line in block]
        yield from _rows(mine, other, width, (high < len(blocks), high_after < len(blocks_after)))


def _rows(mine: Block, other: Block, width: int, goes_on: tuple[bool, bool]) -> Iterator[Text]:
    """Yield rows of two blocks; where one is shorter its rail goes on, if it goes on below."""
    rails = [Text.assemble("  ", ("│", "cyan")) if further else Text() for further in goes_on]
    for left, right in zip_longest(mine, other):
        yield _row(left or rails[0], right or rails[1], width)


def _row(left: Text, right: Text, width: int) -> Text:
    filled = " " * max(width - cell_len(left.plain), 0)
    row = Text.assemble(left, filled, " " * _GUTTER, right)
    row.rstrip()
    return row
