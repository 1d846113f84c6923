"""Sets of values, and what is found by several of them together: a set's element, a map's value."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = int | str
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Values:
    """A set of values: exact ones, and ranges of numbers (both ends included), disjoint and in order.

    prefixes: interface names that end in a wildcard, without it.
    """

    exact: frozenset[Value] = frozenset()
    ranges: tuple[tuple[int, int], ...] = ()
    prefixes: tuple[str, ...] = ()

    def __contains__(self, value: Value) -> bool:
        if value in self.exact:
            return True
        if self.ranges and isinstance(value, int):
            at = bisect_right(self.ranges, (value, 1 << 130)) - 1
            return at >= 0 and self.ranges[at][0] <= value <= self.ranges[at][1]
        return bool(self.prefixes) and isinstance(value, str) and value.startswith(self.prefixes)

    @property
    def is_one(self) -> bool:
        """Whether there is one value, and no other."""
        return len(self.exact) == 1 and not self.ranges and not self.prefixes

    @classmethod
    def of(cls, *values: Value) -> Values:
        """Exact values."""
        return cls(frozenset(values))

    @classmethod
    def within(cls, ranges: list[tuple[int, int]]) -> Values:
        """Numbers in any of the ranges; those of one number become exact."""
        exact = frozenset(low for low, high in ranges if low == high)
        return cls(exact, _merged([(low, high) for low, high in ranges if low < high]))


def _merged(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


class Lookup(Generic[T]):
    """The elements of a set or of a map. One of exact values is found at once, however many there are.

    Which of several that hold the key is found first does not matter: nft takes no two such elements, and of an ipset
    nothing but the membership is asked.
    """

    def __init__(self, elements: Iterable[tuple[Sequence[Values], T]]) -> None:
        self._exact: dict[tuple[Value, ...], T] = {}
        self._others: list[tuple[Sequence[Values], T]] = []
        for element, found in elements:
            if all(values.is_one for values in element):
                self._exact[tuple(value for values in element for value in values.exact)] = found
            else:
                self._others.append((element, found))

    def find(self, key: Sequence[Value | None]) -> T | None:
        """By the value of each field; a field that the packet does not have is in no element."""
        if None in key:
            return None
        parts = tuple(part for part in key if part is not None)
        if parts in self._exact:
            return self._exact[parts]
        for element, found in self._others:
            if all(part in values for part, values in zip(parts, element, strict=True)):
                return found
        return None
