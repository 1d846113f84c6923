"""The loop's own state, without engine or kernel: when it looks, and what it waits for."""

from __future__ import annotations

from pathlib import Path

import pytest

from remedy.apply.settings import Settings
from remedy.spec.models import Spec
from remedy.watch.applied import Seen
from remedy.watch.loop import Watch
from remedy.watch.schedule import Timing

TIMING = Timing()


class Clock:
    """Stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Watch:
    monkeypatch.setattr(Watch, "_read_spec", lambda _: Spec.model_validate({"version": 1}))
    return Watch(Settings(tmp_path, "unix:///nonexistent.sock"), tmp_path / "remedy.yaml", lambda _: None, clock=clock)


def tick(watch: Watch, clock: Clock, runs: Seen) -> tuple[str, ...]:
    """The loop wakes up and finds these runs. Return the reasons for a full look that is due now."""
    clock.now += TIMING.run_tick
    watch._holding.runs.latest = lambda: runs  # type: ignore[method-assign]
    watch._look_at_runs(clock.now)
    return watch._schedule.take(clock.now).reasons


def test_a_runs_end_is_looked_at_once_it_writes_nothing_more(watch: Watch, clock: Clock) -> None:
    assert tick(watch, clock, (("a", 10),)) == ()
    assert watch._schedule.is_run_at_work
    assert tick(watch, clock, (("a", 20),)) == ()
    assert tick(watch, clock, (("a", 20),)) == ("a run of remedy began or ended",)
    assert tick(watch, clock, (("a", 20),)) == ()


def test_a_runs_end_is_not_missed_because_its_records_were_read_for_something_else(watch: Watch, clock: Clock) -> None:
    assert tick(watch, clock, (("a", 10),)) == ()
    watch._holding.runs._seen = (("a", 10),)  # a drop has read them in between
    assert tick(watch, clock, (("a", 10),)) == ("a run of remedy began or ended",)


def test_a_look_whose_thread_cannot_start_is_due_again(
    watch: Watch, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(_thread: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", no_thread)
    monkeypatch.setattr(type(watch._holding.runs.read()), "state", "applied")
    watch._attempt(("x",), lambda: watch._start_look(("x",)))
    assert not watch._schedule.is_looking
    clock.now += TIMING.longest_retry
    assert watch._schedule.take(clock.now).reasons == ("x",)
