"""A chain's rules, filed so that a packet meets only those that it could match.

Each rule is filed under one of its conditions: an address or a network, a port, an interface. A thousand containers
make chains of thousands of rules, and of these a packet concerns a handful.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import merge

from remedy.netfilter.matches import READ, Field, FieldMatch, Match, Surroundings
from remedy.netfilter.packet import Packet
from remedy.netfilter.rules import Chain, Rule
from remedy.netfilter.values import Value

# The earlier, the fewer rules share a value.
_FIELDS = (
    Field.DESTINATION,
    Field.DESTINATION_PORT,
    Field.SOURCE,
    Field.OUT_INTERFACE,
    Field.IN_INTERFACE,
    Field.SOURCE_PORT,
)
_RANK = {field: rank for rank, field in enumerate(_FIELDS)}
_MOST_VALUES = 16

Drawer = tuple[Field, int]  # the field, and how many of its last bits do not count


class IndexedChain:
    """A chain, ready to be asked. Building it is linear in its rules."""

    def __init__(self, chain: Chain) -> None:
        self.rules = chain.rules
        self._always: list[int] = []
        self._filed: dict[Drawer, dict[Value, list[int]]] = {}
        for position, rule in enumerate(chain.rules):
            found = _place_of(rule)
            if found is None:
                self._always.append(position)
                continue
            drawer, values = found
            for value in values:
                self._filed.setdefault(drawer, {}).setdefault(value, []).append(position)

    def candidates(self, packet: Packet, host: Surroundings) -> Iterable[Rule]:
        """The rules that the packet could match, in their order."""
        if not self._filed:
            return self.rules
        lists = [self._always] if self._always else []
        for (field, bits), by_value in self._filed.items():
            value = READ[field](packet, host)
            if bits and isinstance(value, int):
                value >>= bits
            if value is not None and value in by_value:
                lists.append(by_value[value])
        rules = self.rules
        positions = lists[0] if len(lists) == 1 else merge(*lists)
        return (rules[position] for position in positions)


def _place_of(rule: Rule) -> tuple[Drawer, Iterable[Value]] | None:
    places = (place for match in rule.matches for place in _places(match))
    return min(places, key=lambda place: (_RANK[place[0][0]], place[0][1]), default=None)


def _places(match: Match) -> Iterator[tuple[Drawer, Iterable[Value]]]:
    if not isinstance(match, FieldMatch) or match.negated or match.mask is not None or match.field not in _RANK:
        return
    values = match.values
    if values.prefixes or len(values.exact) > _MOST_VALUES:
        return
    if values.exact and not values.ranges:
        yield (match.field, 0), values.exact
    elif len(values.ranges) == 1 and not values.exact:
        low, high = values.ranges[0]
        bits = (high - low + 1).bit_length() - 1
        if high - low + 1 == 1 << bits and low % (1 << bits) == 0:  # a network, or a block of ports like one
            yield (match.field, bits), (low >> bits,)
