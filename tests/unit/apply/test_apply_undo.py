"""Undoing: what is undone, in which order, and what happens when one step fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import remedy.apply.undo as undo_module
from remedy.actions.context import ActionContext
from remedy.apply.journal import Journal, read_journal
from remedy.apply.progress import Progress
from remedy.apply.refresh import refreshed, refreshed_run
from remedy.apply.runs import Run
from remedy.apply.undo import Undone, to_undo, undo_actions
from remedy.facts.model import HostFacts
from remedy.plan.actions import INTENT_LABEL, Action, CreateNetwork, SwitchUserlandProxy
from remedy.plan.model import Plan

ORDER = ["route_localnet", "hairpin_mode", "bridge", "hold_live_restore", "userland_proxy", "release_live_restore"]
ORDER += ["unbridge"]

Journalled = Callable[..., Run]


def begun(*ids: str) -> list[tuple[str, str]]:
    return [("intent", action) for action in ids]


def ids(steps: tuple[tuple[Action, dict[str, object]], ...]) -> list[str]:
    return [action.id for action, _ in steps]


def test_the_plan_is_the_palindrome_that_these_tests_are_about(plan: Plan) -> None:
    assert [action.id for action in plan.actions] == ORDER


@pytest.mark.parametrize("count", range(len(ORDER) + 1))
def test_what_was_begun_is_undone_newest_first(journalled: Journalled, facts: HostFacts, count: int) -> None:
    run = journalled("started", *begun(*ORDER[:count]))
    assert ids(to_undo(run, facts)) == ORDER[:count][::-1]


def test_what_is_reverted_is_not_undone_again(journalled: Journalled, facts: HostFacts) -> None:
    run = journalled("started", *begun(*ORDER), ("reverted", "unbridge"), ("reverted", "release_live_restore"))
    assert ids(to_undo(run, facts)) == ORDER[:5][::-1]


def test_the_undo_data_of_the_first_intent_counts(journalled: Journalled, facts: HostFacts) -> None:
    run = journalled("started", ("intent", "bridge", {"undo": {"previous": 1}}), ("intent", "bridge", {"undo": {}}))
    assert to_undo(run, facts)[0][1] == {"previous": 1}


def test_an_engine_that_booted_with_the_held_file_is_switched_back(journalled: Journalled, facts: HostFacts) -> None:
    run = journalled("started", *begun(*ORDER[:4]))
    switched = facts.model_copy(update={"engine": facts.engine.model_copy(update={"userland_proxy": False})})
    assert ids(to_undo(run, switched)) == ORDER[:5][::-1]
    assert ids(to_undo(run, None)) == ORDER[:5][::-1], "an engine that does not answer may have done so too"
    assert ids(to_undo(run, facts)) == ORDER[:4][::-1]


def test_a_switch_that_was_reverted_is_not_brought_in_again(journalled: Journalled) -> None:
    run = journalled("started", *begun(*ORDER[:5]), ("reverted", "userland_proxy"))
    assert ids(to_undo(run, None)) == ORDER[:4][::-1]


class FakeHost:
    """Reverts by name, and fails where it is told to."""

    def __init__(self, failing: dict[str, Exception]) -> None:
        self.failing = failing
        self.reverted: list[str] = []
        self.progress: Progress | None = None

    def executor(self, action: Action, _context: object) -> Any:
        outer = self

        class Executor:
            def revert(self, _undo: dict[str, object]) -> None:
                outer.reverted.append(action.id)
                if action.id in outer.failing:
                    raise outer.failing[action.id]

        return Executor()


@pytest.fixture
def undo(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Undone, FakeHost, list[Any]]]:
    progress = Progress("x", lambda _: None)

    def run(failing: dict[str, Exception]) -> tuple[Undone, FakeHost, list[Any]]:
        host = FakeHost(failing)
        monkeypatch.setattr(undo_module, "executor_for", host.executor)
        journal = Journal.create(tmp_path / "run")
        steps = tuple((action, {}) for action in reversed(plan.actions))
        context = ActionContext.for_host("unix:///nowhere", tmp_path)
        host.progress = progress
        undone = undo_actions(steps, context, journal, progress)
        return undone, host, [f"{r.event} {r.action}" for r in read_journal(journal.path)]

    return run


def test_everything_is_reverted_once(undo: Callable[..., Any]) -> None:
    undone, host, records = undo({})
    assert undone.is_complete
    assert host.reverted == ORDER[::-1]
    assert [r for r in records if r.startswith("reverted")] == [f"reverted {action}" for action in ORDER[::-1]]


@pytest.mark.parametrize("error", [OSError("busy"), RuntimeError("a bug"), KeyError("x")])
def test_a_step_that_fails_is_tried_twice_and_the_others_are_done_all_the_same(
    undo: Callable[..., Any], error: Exception
) -> None:
    undone, host, records = undo({"hairpin_mode": error})
    assert [failure.action.id for failure in undone.failed] == ["hairpin_mode"]
    assert host.reverted == [*ORDER[:1:-1], "hairpin_mode", "hairpin_mode", "route_localnet"]
    assert "revert-failed hairpin_mode" in records
    assert undone.leftover


def test_a_restart_that_fails_keeps_what_carries_the_traffic(undo: Callable[..., Any]) -> None:
    undone, host, records = undo({"userland_proxy": OSError("the engine does not start")})
    assert host.reverted == ["unbridge", "release_live_restore", "userland_proxy", "userland_proxy"]
    assert [failure.action.id for failure in undone.failed] == ORDER[4::-1]
    assert undone.failed[0].why == "the engine does not start"
    assert undone.failed[1].why.startswith("comes after")
    assert "reverted hold_live_restore" not in records
    assert any("systemctl restart docker" in line for line in undone.leftover)


def test_a_preparation_that_failed_is_made_good_by_the_end_of_what_it_prepared(undo: Callable[..., Any]) -> None:
    undone, host, records = undo({"unbridge": OSError("x"), "release_live_restore": OSError("y")})
    assert undone.is_complete
    assert {report.state for report in host.progress.reports} == {"reverted"}
    assert not any(report.error for report in host.progress.reports)
    assert records[-2:] == ["reverted unbridge", "reverted release_live_restore"]


def test_a_full_disk_does_not_keep_the_host_from_being_put_back(
    undo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Journal, "write", full)
    undone, host, _ = undo({})
    assert undone.is_complete
    assert host.reverted == ORDER[::-1]


def test_a_switch_that_was_not_bridged_is_not_bridged_back(plan: Plan, facts: HostFacts) -> None:
    """Containers were stopped for it, or nothing was published then: nobody would remove the guard in FORWARD."""
    switch = next(action for action in plan.actions if isinstance(action, SwitchUserlandProxy))
    bare = switch.model_copy(update={"ruleset": switch.ruleset.model_copy(update={"redirects": ()})})
    for planned, is_bridged in ((bare, False), (switch, True)):
        undone = refreshed(planned, facts)
        assert isinstance(undone, SwitchUserlandProxy)
        assert bool(undone.ruleset.redirects) is is_bridged


def test_nothing_is_tidied_on_a_bridge_that_goes_with_its_network(plan: Plan, facts: HostFacts) -> None:
    """While the engine does not answer nobody knows whose it is: the commands by hand were others then."""
    switch = next(action for action in plan.actions if isinstance(action, SwitchUserlandProxy))
    texts = dict.fromkeys(("summary", "reason", "before", "after", "inverse"), "words")
    create = CreateNetwork(id="create_network", **texts, name="lb", internal=True, subnets=(), labels={})
    bridge = next(network for network in facts.networks if network.driver == "bridge")
    made = bridge.model_copy(update={"name": "lb", "bridge": "br-lb", "labels": {INTENT_LABEL: "abc"}})
    facts = facts.model_copy(update={"networks": (*facts.networks, made)})
    for planned, is_tidied in (((switch,), True), ((create, switch), False)):
        ((undone, _),) = refreshed_run(((switch, {}),), planned, facts)
        assert isinstance(undone, SwitchUserlandProxy)
        assert ("net.ipv4.conf.br-lb.route_localnet" in undone.sysctls_before) is is_tidied
        assert "br-lb" in undone.ruleset.engine_bridges, "haproxy's way over it is bridged all the same"
