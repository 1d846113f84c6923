"""What the watcher's benchmark promises, and how it shows what it measured."""

from __future__ import annotations

import pytest
from rendering import rows_of

from remedy.bench.resync import ResyncResult, measure_resync, resync_lines
from remedy.bench.watching import IdleResult, idle_table, idle_verdict


def rest(rss: int = 38_000, processor: float = 0.001, *, metrics: bool = False) -> IdleResult:
    return IdleResult(
        engine="28.5",
        firewall="nft",
        containers=4,
        state="applied",
        metrics=metrics,
        rss=rss,
        pss=30_000,
        processor=processor,
        seconds=60.0,
    )


@pytest.mark.parametrize(
    ("measured", "kept"),
    [
        (rest(), True),
        (rest(rss=41_000), False),
        (rest(rss=44_000, metrics=True), True),
        (rest(processor=0.01), False),
        (rest(processor=0.01, metrics=True), False),
    ],
)
def test_the_promise_is_of_memory_and_processor(measured: IdleResult, kept: bool) -> None:
    assert measured.keeps_promise is kept
    assert ("kept" in idle_verdict([rest(), measured])) is kept


def test_the_table_has_a_row_for_each_rest() -> None:
    row = rows_of(idle_table([rest()]))[-1]
    assert row[0] == "28.5 nft, 4 containers"
    assert "37.1" in row
    assert "0.10%" in row


def test_a_resync_is_the_watchers_own_code_on_a_made_up_host() -> None:
    measured = measure_resync(20, 1, notrack=True)
    assert measured.redirects == 19
    assert measured.pairs == 19
    assert measured.unchanged > 0
    slow = ResyncResult(1000, 999, 0, unchanged=0.5, all_gone=0.7, handing_over=0.4)
    assert not slow.keeps_promise
    assert "TOO SLOW" in resync_lines(slow)[-1]
