"""What is due when, by a clock of the test's own."""

from __future__ import annotations

from itertools import pairwise

import pytest

from remedy.watch.engine_events import message_of
from remedy.watch.inbox import ContainerSeen, NetworkSeen
from remedy.watch.schedule import MOST_REASONS, Schedule, Since, Timing, Work

TIMING = Timing()
GONE = Since(gone=frozenset({"web"}))


def works(schedule: Schedule, until: float) -> list[tuple[float, object]]:
    """Everything that becomes due until then, with its moment, as the loop would do it: at once and in no time."""
    found = []
    while (due := schedule.next_due()) <= until:
        schedule.tick(due)
        work = schedule.take(due)
        if work:
            found.append((round(due, 3), work))
            if work.reasons:
                schedule.synced(due)
            if work.look:
                schedule.looked(due)
    return found


def test_nothing_is_due_while_nothing_happens() -> None:
    assert works(Schedule(0.0), TIMING.periodic) == []


def test_a_start_is_answered_at_once_and_looked_at_in_full_when_it_is_quiet() -> None:
    schedule = Schedule(0.0)
    schedule.container("web", "started", 10.0)
    [(first, quick), (second, full)] = works(schedule, 20.0)
    assert first == pytest.approx(10.0 + TIMING.quick_wait)
    assert quick == Work(started=("web",))
    assert second == pytest.approx(10.0 + TIMING.quiet)
    assert full == Work(reasons=("web started",))


def test_a_container_that_died_loses_its_rules_before_anything_is_read() -> None:
    schedule = Schedule(0.0)
    schedule.container("web", "died", 10.0)
    first, second = works(schedule, 20.0)
    assert first[0] == pytest.approx(10.0 + TIMING.drop_wait)
    assert first[1].gone == ("web",)
    assert not first[1].reasons
    assert second[1].reasons == ("web died",)


def test_a_killed_container_loses_its_rules_before_it_has_died_and_gets_none_until_it_starts_again() -> None:
    schedule = Schedule(0.0)
    schedule.container("web", "was killed", 10.0)
    [(moment, work)] = works(schedule, 10.1)
    assert moment == pytest.approx(10.0 + TIMING.drop_wait)
    assert work == Work(gone=("web",))
    assert schedule.since(10.1) == GONE
    schedule.container("web", "died", 10.2)
    schedule.container("web", "started", 10.4)
    assert schedule.since(10.5) == Since()


def test_one_that_died_gets_no_rule_until_it_starts_again_whatever_the_engine_lists() -> None:
    schedule = Schedule(0.0)
    schedule.container("web", "died", 10.0)
    assert works(schedule, 10.1)
    assert schedule.since(10.2) == GONE
    schedule.container("web", "was removed", 10.5)
    assert schedule.since(10.6) == GONE
    schedule.resubscribed("the engine's events are followed", 11.0)  # a start may have been lost
    assert schedule.since(11.0) == Since()


def test_one_that_was_killed_and_does_not_die_is_looked_at() -> None:
    schedule = Schedule(0.0)
    schedule.container("web", "was killed", 10.0)
    found = works(schedule, 10.0 + TIMING.absent + 2 * TIMING.tick)
    assert [work.reasons for _, work in found if work.reasons] == [("web was killed and did not die",)]
    assert schedule.since(10.1) == Since()
    assert schedule.since(10.0) == Since(answered=frozenset({"web"}))  # it is one that changed; not one that dies


def test_who_changes_while_the_engine_is_asked_gets_no_rule_by_that_answer() -> None:
    schedule = Schedule(0.0)
    schedule.container("web", "started", 10.0)
    assert schedule.since(10.05) == Since()
    schedule.container("web", "died", 10.1)
    schedule.container("web", "started", 10.2)
    assert schedule.since(10.05) == GONE, "what is written for it is from before its end"
    assert works(schedule, 10.25)[0][1].started == ("web",)
    assert schedule.since(10.05) == Since(answered=frozenset({"web"}))


def test_who_changed_is_forgotten_once_no_answer_can_be_from_before() -> None:
    schedule = Schedule(0.0)
    schedule.container("web", "was renamed", 10.0)
    schedule.tick(10.0 + TIMING.remembered - 1)
    assert schedule.since(0.0).answered == {"web"}
    schedule.tick(10.0 + TIMING.remembered)
    assert schedule.since(0.0) == Since()


def test_one_that_is_back_already_is_asked_for_before_its_rules_go() -> None:
    schedule = Schedule(0.0)
    schedule.container("web", "died", 10.0)
    schedule.container("web", "started", 10.01)
    [(_, quick), (_, work)] = works(schedule, 20.0)
    assert quick == Work(started=("web",))
    assert work == Work(reasons=("web died", "web started"))


def test_two_hundred_at_once_are_one_drop_and_few_syncs() -> None:
    schedule = Schedule(0.0)
    for number in range(200):
        schedule.container(f"web-{number}", "died", 10.0 + number / 100_000)
    for number in range(200):
        schedule.container(f"web-{number}", "started", 10.05 + number / 1000)
    found = works(schedule, 20.0)
    assert sum(len(work.gone) for _, work in found) <= 200
    assert len([work for _, work in found if work.reasons]) <= 2
    assert len([work for _, work in found if work.started]) <= 3
    assert all(len(work.reasons) <= MOST_REASONS + 1 for _, work in found)


def test_a_flapping_container_does_not_starve_the_sync_nor_keep_it_busy() -> None:
    schedule = Schedule(0.0)
    moment, found = 10.0, []
    for number in range(100):
        schedule.container("flap", "died" if number % 2 else "started", moment)
        moment += 0.05
        found += [one for one in works(schedule, moment) if one[1].reasons]
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(found)]
    assert max(gaps) <= TIMING.longest_wait + TIMING.rest
    assert min(gaps) >= TIMING.rest - 0.001


def test_a_change_of_the_firewall_is_looked_at_and_not_more_often_than_it_must() -> None:
    schedule = Schedule(0.0)
    found = []
    for number in range(100):
        schedule.rules_touched(10.0 + number / 10)
        found += works(schedule, 10.0 + (number + 1) / 10)
    assert all(work.look and not work.reasons for _, work in found)
    assert found[0][0] == pytest.approx(10.0 + TIMING.look_wait)
    assert len(found) <= 11


def test_a_sync_is_a_look_too() -> None:
    schedule = Schedule(0.0)
    schedule.rules_touched(10.0)
    schedule.full("a container joined a network", 9.95)
    [(_, work)] = works(schedule, 12.0)
    assert work.reasons
    assert not work.look


def test_while_the_host_is_looked_at_only_what_is_urgent_is_due() -> None:
    schedule = Schedule(0.0)
    schedule.is_looking = True
    schedule.container("web", "died", 10.0)
    schedule.container("api", "started", 10.0)
    assert [work.reasons for _, work in works(schedule, 30.0)] == [(), ()]
    schedule.is_looking = False
    [(_, work)] = works(schedule, 32.0)
    assert work.reasons == ("web died", "api started")


def test_a_sync_that_took_long_leaves_as_much_time() -> None:
    schedule = Schedule(0.0)
    schedule.full("web started", 1.0)
    schedule.take(2.0)
    schedule.synced(7.0, 5.0)
    schedule.full("web died", 7.1)
    [(moment, _)] = works(schedule, 30.0)
    assert moment == pytest.approx(12.0)


def test_the_periodic_check_is_the_net() -> None:
    schedule = Schedule(0.0)
    found = works(schedule, 3 * TIMING.periodic + 20)
    assert [work.reasons for _, work in found] == [("periodic check",)] * 3


def test_who_was_stopped_looks_at_everything() -> None:
    schedule = Schedule(0.0)
    schedule.tick(2.0)
    schedule.tick(60.0)
    [(_, work)] = works(schedule, 61.0)
    assert work.reasons == ("the watcher did not run for 56 s",)


def test_a_clock_that_goes_back_starves_nothing() -> None:
    schedule = Schedule(1000.0)
    schedule.tick(1002.0)
    schedule.tick(10.0)
    schedule.container("web", "started", 10.0)
    assert works(schedule, 1003.0)


def test_what_failed_comes_again_later_each_time_and_at_once_when_the_engine_is_back() -> None:
    schedule = Schedule(0.0)
    schedule.full("web started", 1.0)
    waits, now = [], 2.0
    for _ in range(8):
        work = schedule.take(now)
        assert work.reasons == ("web started",)
        waits.append(schedule.failed(work.reasons, now))
        assert not schedule.take(now + waits[-1] - 0.01)
        now += waits[-1]
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    schedule.failed(schedule.take(now).reasons, now)
    schedule.now_or_never("the engine answers again", now)
    assert schedule.take(now + 1).reasons == ("web started", "the engine answers again")


def event(kind: str, action: str, identity: str = "abc", **attributes: str) -> dict[str, object]:
    return {"Type": kind, "Action": action, "Actor": {"ID": identity, "Attributes": attributes}}


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        (event("container", "start", name="web"), ContainerSeen("web", "started")),
        (event("container", "die"), ContainerSeen("abc", "died")),
        (event("container", "kill", name="web", signal="9"), ContainerSeen("web", "was killed")),
        (event("container", "kill", name="web", signal="15"), None),
        (event("container", "exec_start: sh", name="web"), None),
        (event("network", "connect", name="lb", container="0" * 64), NetworkSeen("000000000000 joined network lb")),
        (event("network", "destroy", name="lb"), NetworkSeen("network lb removed")),
        ({"Type": "image", "Action": "pull"}, None),
        ({}, None),
    ],
)
def test_an_event_is_told_as_a_message(seen: dict[str, object], message: object) -> None:
    assert message_of(seen) == message


def test_while_a_run_is_at_work_the_loop_wakes_up_more_often() -> None:
    schedule = Schedule(0.0)
    assert schedule.next_due() == TIMING.tick
    schedule.is_run_at_work = True
    assert schedule.next_due() == TIMING.run_tick


def test_after_a_run_nothing_is_waited_for_not_even_for_quiet() -> None:
    schedule = Schedule(0.0)
    schedule.container("web", "was renamed", 9.9)
    schedule.failed(("x",), 9.9)
    schedule.at_once("a run ended", 10.0)
    assert schedule.next_due() <= 10.0
    assert "a run ended" in schedule.take(10.0).reasons
