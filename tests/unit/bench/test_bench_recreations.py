"""In which order containers are made again, and how what was seen is judged."""

from __future__ import annotations

from collections import Counter

import pytest
from rendering import rows_of

from remedy.bench.load_model import Incident, LoadResult, VantageResult
from remedy.bench.recreation_judge import Judged, Spell, judge
from remedy.bench.recreation_moves import KINDS, moves
from remedy.bench.recreations import RecreationsResult
from remedy.bench.recreations_table import loss_lines, recreations_table, recreations_verdict
from remedy.bench.rule_times import RulesSeen

NAMES = ("api-1", "api-2", "api-3")
OLD = Spell("api-1", 5001, "172.17.0.3", 0.0, 0.0, 0.0, died=100.2)
STRANGER = Spell("stranger-1", None, "172.17.0.3", 100.3, 101.0, 101.2)
NEW = Spell("api-1", 5001, "172.17.0.4", 100.0, 102.0, 102.3)
SEEN = (
    RulesSeen(at=10.0, rules={5001: "172.17.0.3"}),
    RulesSeen(at=100.25, rules={}),
    RulesSeen(at=102.125, rules={5001: "172.17.0.4"}),
)


def incident(kind: str, at: float, milliseconds: float = 1.0, retransmits: int = 0) -> Incident:
    return Incident.model_validate(
        {"kind": kind, "at": at, "milliseconds": milliseconds, "retransmits": retransmits, "detail": "by a stranger"}
    )


def judged(*incidents: Incident, spells=(OLD, STRANGER, NEW), seen=SEEN) -> Judged:
    vantage = VantageResult(
        name="container -> api-1",
        connections=1_000,
        answered=990,
        refused=0,
        reset=0,
        failed=0,
        late=0,
        never=0,
        longest_ms=1.0,
        keep_alive_requests=200,
        keep_alive_closes=1,
        keep_alive_failures=0,
        keep_alive_longest_ms=1.0,
        incidents=incidents,
    )
    load = LoadResult(vantages=(vantage,), seconds=10.0, worst_lag_ms=1.0, stalled_ms=0.0, skipped=0)
    return judge(spells, seen, load, {"container -> api-1": "api-1"})


def test_the_same_seed_makes_the_same_moves_and_as_many_recreations_as_asked_for() -> None:
    for recreations in (1, 7, 200):
        made = list(moves(NAMES, recreations, "1"))
        assert made == list(moves(NAMES, recreations, "1"))
        assert sum(len(move.removed) for move in made) == recreations
        assert all(sorted(move.removed) == sorted(move.started) for move in made)
    assert set(Counter(move.kind for move in moves(NAMES, 200, "1"))) == set(KINDS)
    assert list(moves(NAMES, 200, "1")) != list(moves(NAMES, 200, "2"))


def test_those_that_swap_are_started_the_other_way_round() -> None:
    for move in moves(NAMES, 200, "3"):
        if move.kind == "swapped":
            assert move.started == move.removed[::-1]


def test_rules_are_timed_from_the_start_event_to_the_address_of_that_container() -> None:
    result = judged()
    assert result.recreations == 1
    assert result.right_ms == (125.0,)
    assert (result.right_median_ms, result.right_p95_ms, result.right_worst_ms) == (125.0, 125.0, 125.0)
    assert result.mistaken_ms == 0.0
    assert result.keeps_promise


def test_rules_that_were_there_before_the_event_took_no_time() -> None:
    assert judged(seen=(SEEN[0], RulesSeen(at=101.9, rules={5001: "172.17.0.4"}))).right_ms == (0.0,)


def test_rules_that_never_came_break_the_promise_if_there_was_time_for_them() -> None:
    [late] = judged(seen=SEEN[:2]).late
    assert (late.name, late.address, late.right_ms) == ("api-1", "172.17.0.4", None)
    assert not judged(seen=SEEN[:2]).keeps_promise
    short = Spell("api-1", 5001, "172.17.0.4", 100.0, 102.0, 102.3, died=102.5)
    assert judged(seen=SEEN[:2], spells=(OLD, STRANGER, short)).late == ()


def test_rules_that_came_after_the_promised_time_are_named_and_break_it() -> None:
    result = judged(seen=(*SEEN[:2], RulesSeen(at=103.5, rules={5001: "172.17.0.4"})))
    assert [late.right_ms for late in result.late] == [1500.0]
    assert not result.keeps_promise


def test_rules_of_the_next_one_at_the_same_address_came_too_late() -> None:
    next_one = (*SEEN[:2], RulesSeen(at=200.0, rules={5001: "172.17.0.4"}))
    died = Spell("api-1", 5001, "172.17.0.4", 100.0, 102.0, 102.3, died=110.0)
    assert len(judged(seen=next_one, spells=(OLD, STRANGER, died)).late) == 1


def test_a_rule_that_leads_to_a_stranger_is_counted_as_long_as_it_does() -> None:
    late = (SEEN[0], RulesSeen(at=101.5, rules={}), SEEN[2])
    assert judged(seen=late).mistaken_ms == 500.0


@pytest.mark.parametrize("kind", ["wrong", "keep-alive wrong"])
def test_an_answer_by_somebody_else_breaks_the_promise_whenever_it_comes(kind: str) -> None:
    result = judged(incident(kind, 101.0))
    assert [loss.incident.kind for loss in result.wrong] == [kind]
    assert not result.keeps_promise


@pytest.mark.parametrize("kind", ["refused", "reset", "never", "keep-alive cut"])
def test_what_is_lost_while_the_container_is_made_again_is_no_fault(kind: str) -> None:
    result = judged(incident(kind, 99.999, 5.0), incident(kind, 101.0), incident(kind, 102.2, 2000.0))
    assert (result.lost_to_stopped, result.lost_while_up) == (3, ())
    assert result.keeps_promise


@pytest.mark.parametrize("at", [99.0, 102.4])
def test_what_is_lost_while_it_is_there_is_one(at: float) -> None:
    result = judged(incident("refused", at))
    assert len(result.lost_while_up) == 1
    assert not result.keeps_promise


def test_a_late_answer_is_a_loss_only_where_a_packet_was_lost() -> None:
    result = judged(incident("late", 98.0, 300.0), incident("late", 98.0, 1010.0, retransmits=1))
    assert result.slow == 1
    assert len(result.lost_while_up) == 1


def test_the_table_says_what_broke_the_promise() -> None:
    result = RecreationsResult(
        remedies=("hairpin",),
        engine="28.5",
        firewall="nft",
        seed=1,
        seconds=61.0,
        judged=judged(incident("wrong", 101.0), incident("refused", 110.0)),
        plan_is_empty=False,
    )
    [row] = [row for row in rows_of(recreations_table([result])) if row[0] == "28.5"]
    assert row[2:] == ["hairpin", "1 in 61 s", "125", "125", "125", "0", "1200", "1", "1", "0", "differs"]
    assert recreations_verdict([result]).startswith("0 of 1 hosts")
    first, second = loss_lines([result])
    assert first == (
        "28.5 nft, container -> api-1: wrong at 00:01:41.000000, 1.0 ms, 0 segments sent again, by a stranger"
    )
    assert "refused at 00:01:50" in second
