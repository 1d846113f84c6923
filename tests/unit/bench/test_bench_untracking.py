"""Ratios of new connections per second, and the promise that rests on them."""

from __future__ import annotations

import pytest
from rendering import rows_of

from remedy.bench.untracking import NOTRACK, OFF, TRACKED, UntrackingResult, untracking_table, untracking_verdict


def result(notrack: tuple[float, ...], haproxy: tuple[float, ...] = (100.0, 50.0, 100.0)) -> UntrackingResult:
    off = (100.0, 50.0, 100.0)
    tracked = (70.0, 35.0, 70.0)
    backend = {OFF: off, NOTRACK: notrack, TRACKED: tracked}
    through = {OFF: off, NOTRACK: haproxy, TRACKED: tracked}
    return UntrackingResult(engine="28.5", firewall="nft", backend=backend, haproxy=through)


@pytest.mark.parametrize(
    ("notrack", "haproxy", "kept"),
    [
        ((96.0, 48.0, 20.0), (100.0, 50.0, 100.0), True),  # neighbours compare, and one odd round does not count
        ((94.0, 47.0, 94.0), (100.0, 50.0, 100.0), False),
        ((100.0, 50.0, 100.0), (94.0, 47.0, 94.0), False),
    ],
)
def test_the_promise_is_that_of_both_ways(notrack: tuple[float, ...], haproxy: tuple[float, ...], kept: bool) -> None:
    measured = result(notrack, haproxy)
    assert measured.keeps_promise is kept
    assert ("kept" if kept else "BROKEN") in untracking_verdict(measured)


def test_each_way_is_a_row_with_its_ratios() -> None:
    _, *rows = rows_of(untracking_table(result((96.0, 48.0, 96.0))))
    assert rows[0] == ["bridge netfilter off", "100", "1.00", "100", "1.00"]
    assert rows[1] == ["notrack", "96", "0.96", "100", "1.00"]
    assert rows[2] == ["tracked", "70", "0.70", "70", "0.70"]
