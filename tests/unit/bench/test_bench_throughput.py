"""Ratios of requests/s, the promise that rests on them, and how they are shown."""

from __future__ import annotations

import pytest
from rendering import rows_of

from remedy.bench.throughput import ThroughputResult, WayRates, in_turns, throughput_table, throughput_verdict
from remedy.bench.ways import WAYS
from remedy.bench.wrk import Target

PROXY, REMEDY, BY_HAND = "docker-proxy", "remedy", "by hand"


def way(name: str, gateway: tuple[float, ...], by_hand: str | None = None) -> WayRates:
    return WayRates(name=name, by_hand=by_hand, gateway=gateway, haproxy=tuple(rate / 4 for rate in gateway))


def result(
    proxy: tuple[float, ...] = (100.0, 100.0, 100.0),
    remedy: tuple[float, ...] = (210.0, 210.0, 210.0),
    by_hand: tuple[float, ...] = (210.0, 210.0, 210.0),
) -> ThroughputResult:
    ways = (way(PROXY, proxy), way(REMEDY, remedy, BY_HAND), way(BY_HAND, by_hand))
    return ThroughputResult(engine="28.5", firewall="nft", ways=ways)


def test_rounds_are_compared_with_their_neighbours_and_not_with_other_moments() -> None:
    # The machine was three times as fast in the last round: the medians of each way say 1.0.
    measured = result(proxy=(100.0, 300.0, 50.0), remedy=(200.0, 600.0, 100.0))

    assert measured.ratio(measured.ways[1], PROXY) == 2.0
    assert measured.ratio(measured.ways[1], PROXY, through_haproxy=True) == 2.0


def test_one_odd_round_does_not_count() -> None:
    measured = result(remedy=(210.0, 20.0, 210.0))

    assert measured.ratio(measured.ways[1], PROXY) == 2.1
    assert measured.keeps_promise


@pytest.mark.parametrize(
    ("remedy", "by_hand", "kept"),
    [
        (200.0, 210.0, True),
        (199.0, 199.0, False),  # not twice docker-proxy
        (210.0, 222.0, False),  # 0.946 of the same by hand
        (400.0, 210.0, True),
    ],
)
def test_the_promise_is_both_ratios(remedy: float, by_hand: float, kept: bool) -> None:
    measured = result(remedy=(remedy,) * 3, by_hand=(by_hand,) * 3)

    assert measured.keeps_promise is kept
    assert throughput_verdict(measured).endswith("promise kept" if kept else "promise BROKEN")


def test_what_was_set_up_by_hand_promises_nothing() -> None:
    assert result(remedy=(210.0,) * 3, by_hand=(150.0,) * 3).keeps_promise


def test_the_table_has_medians_and_ratios() -> None:
    rows = rows_of(throughput_table(result(proxy=(100.0, 90.0, 5_000.0), remedy=(210.0, 189.0, 10_500.0))))

    assert rows[1:3] == [[PROXY, "100", "1.00", "", "25", "1.00"], [REMEDY, "210", "2.10", "1.00", "52", "2.10"]]


def test_every_other_round_is_the_other_way_round(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def measured(target: Target, _seconds: int) -> float:
        asked.append(target.url)
        return float(len(asked))

    monkeypatch.setattr("remedy.bench.throughput.requests_per_second", measured)

    rates = in_turns({"a": Target("", "a"), "b": Target("", "b")}, 3, lambda _: None)

    assert asked == ["a", "b", "b", "a", "a", "b"]
    assert rates == {"a": (1.0, 4.0, 5.0), "b": (2.0, 3.0, 6.0)}


def test_every_way_of_remedys_has_its_equal_by_hand() -> None:
    names = [one.name for one in WAYS]

    assert all(one.by_hand in names for one in WAYS if one.name.startswith("remedy:"))
    assert all(one.by_hand is None for one in WAYS if not one.name.startswith("remedy:"))
    assert names[0].startswith("docker-proxy")
