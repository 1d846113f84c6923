"""Runs as their journals tell of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from remedy.apply import guard
from remedy.apply.runs import Run, outcome_of

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LATER = {"deadline": (NOW + timedelta(seconds=60)).isoformat()}
Journalled = Callable[..., Run]


@pytest.mark.parametrize(
    ("events", "state"),
    [
        (["started"], "open"),
        (["started", ("intent", "bridge"), ("done", "bridge")], "open"),
        (["started", "committed"], "applied"),
        (["started", ("pending", None, LATER)], "pending"),
        (["started", ("pending", None, LATER), "confirmed"], "applied"),
        (["started", "failed"], "failed"),
        (["started", "committed", "rollback-started", ("reverting", "unbridge")], "open"),
        (["started", "committed", "rollback-started", ("reverting", "unbridge"), "rolled-back"], "rolled-back"),
        (["started", ("reverting", "unbridge"), "rollback-incomplete"], "rollback-incomplete"),
    ],
)
def test_the_last_telling_event_is_the_state(journalled: Journalled, events: list[object], state: str) -> None:
    run = journalled(*events)
    assert run.state == state
    assert (outcome_of(run) == "running") == (state == "open")


def test_a_guard_waits_while_the_run_may_still_need_it(journalled: Journalled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "utc_now", lambda: NOW)
    armed = ("armed", None, LATER)
    assert guard.seconds_left(journalled("started", armed)) == 60


@pytest.mark.parametrize("end", ["confirmed", "rolled-back", "failed"])
def test_a_guard_ends_when_the_run_has_ended(journalled: Journalled, end: str) -> None:
    assert guard.seconds_left(journalled("started", ("armed", None, LATER), end)) is None


def test_the_deadline_counts_from_the_end_of_the_work(journalled: Journalled) -> None:
    later = {"deadline": (NOW + timedelta(seconds=90)).isoformat()}
    run = journalled("started", ("armed", None, LATER), ("pending", None, later))
    assert run.deadline == NOW + timedelta(seconds=90)
