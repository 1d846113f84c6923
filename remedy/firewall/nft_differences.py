"""What distinguishes the nft tables that should be there from those that are, in readable lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from remedy.firewall.nft_model import NftChain, NftSet, NftTable


def differences(wanted: Sequence[NftTable], present: Sequence[NftTable]) -> tuple[str, ...]:
    """Missing, changed and foreign parts, and wrong order; empty when both are exactly the same."""
    old = {table.title: table for table in wanted}
    new = {table.title: table for table in present}
    return tuple(line for title in sorted(old.keys() | new.keys()) for line in _table(title, old, new))


def _table(title: str, wanted: dict[str, NftTable], present: dict[str, NftTable]) -> Iterator[str]:
    if title not in present:
        yield f"table {title} is missing"
    elif title not in wanted:
        yield f"table {title} should not exist"
    else:
        yield from _named(title, "set", wanted[title].sets, present[title].sets)
        yield from _named(title, "chain", wanted[title].chains, present[title].chains)


def _named(
    title: str, kind: str, wanted: Sequence[NftSet | NftChain], present: Sequence[NftSet | NftChain]
) -> Iterator[str]:
    old, new = ({item.name: item for item in items} for items in (wanted, present))
    for name in sorted(old.keys() | new.keys()):
        place = f"table {title}, {kind} {name}"
        if name not in new:
            yield f"{place} is missing"
        elif name not in old:
            yield f"{place} is not remedy's"
        else:
            yield from _item(place, old[name], new[name])


def _item(place: str, wanted: NftSet | NftChain, present: NftSet | NftChain) -> Iterator[str]:
    if _head(wanted) != _head(present):
        yield f"{place}: its declaration was changed"
    if isinstance(wanted, NftSet) and isinstance(present, NftSet):
        yield from _content(f"{place}: element", wanted.elements, present.elements)
    elif isinstance(wanted, NftChain) and isinstance(present, NftChain) and wanted.rules != present.rules:
        lines = tuple(_content(f"{place}: rule", wanted.rules, present.rules))
        yield from lines or (f"{place}: the rules are in another order",)


def _head(item: NftSet | NftChain) -> NftSet | NftChain:
    return replace(item, elements=()) if isinstance(item, NftSet) else replace(item, rules=())


def _content(what: str, wanted: Iterable[str], present: Iterable[str]) -> Iterator[str]:
    old, new = Counter(wanted), Counter(present)
    yield from (f"{what} is missing: {text}" for text in (old - new).elements())
    yield from (f"{what} is not remedy's: {text}" for text in (new - old).elements())
