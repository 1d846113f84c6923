"""The containers' own conntrack tables: whose are kept empty, and when they are let alone again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from test_planning_notrack import BALANCER
from test_planning_user_network import API, BALANCED, OPERATOR, with_config

from remedy.facts.model import HostFacts, OwnTable
from remedy.paths.hypothesis import with_containers_restarted
from remedy.paths.walk import with_bridge_netfilter
from remedy.plan.actions import Action, UntrackInside, WriteRules
from remedy.plan.foresight import facts_after
from remedy.plan.held import held
from remedy.plan.model import Plan
from remedy.spec.models import Spec

EVERYBODY = (BALANCER, *API)
NETWORK = {"user_network": "remedy-lb"}
Planned = Callable[..., Plan]


def with_tables(facts: HostFacts, **values: Any) -> HostFacts:
    """Every container's own table with these values."""
    spaces = (
        space if space.is_host else space.model_copy(update={"own_table": OwnTable(**{"entries": 0, **values})})
        for space in facts.namespaces
    )
    return facts.model_copy(update={"namespaces": tuple(spaces)})


@pytest.fixture(params=["operator-20.10", "operator-28.5"])
def host(request: pytest.FixtureRequest, facts_of: Callable[[str], HostFacts]) -> HostFacts:
    """On the default bridge, where nothing inside a container has it tracked."""
    return with_tables(with_bridge_netfilter(with_config(facts_of(request.param), OPERATOR), on=True), rules="none")


@pytest.fixture
def planned(plan_for: Planned) -> Planned:
    def plan(facts: HostFacts, notrack: object = True) -> Plan:
        return plan_for(facts, **{**BALANCED, "accept_pinned": True}, remedies={**NETWORK, "notrack": notrack})

    return plan


def inside(actions: tuple[Action, ...]) -> list[UntrackInside]:
    return [action for action in actions if isinstance(action, UntrackInside)]


def names(action: UntrackInside) -> set[str]:
    return {member.container for member in action.members}


def test_who_joins_the_network_is_tracked_inside_from_then_on(host: HostFacts, planned: Planned) -> None:
    plan = planned(host)

    [action] = inside(plan.actions)
    assert action.untracked
    assert names(action) == set(EVERYBODY)
    kinds = [type(each) for each in plan.actions]
    assert kinds.index(WriteRules) < kinds.index(UntrackInside)
    assert inside(planned(facts_after(host, plan.actions)).actions) == []


def test_a_container_that_started_again_is_done_again(host: HostFacts, planned: Planned) -> None:
    applied = facts_after(host, planned(host).actions)
    [action] = inside(planned(with_containers_restarted(applied)).actions)
    assert names(action) == set(EVERYBODY)


def test_where_there_are_other_rules_the_table_is_left_alone_and_that_is_said(
    host: HostFacts, planned: Planned
) -> None:
    plan = planned(with_tables(host, rules="other"))

    assert inside(plan.actions) == []
    [warning] = [each for each in plan.warnings if each.code == "notrack-own-rules"]
    assert BALANCER in warning.what


def test_rules_that_came_later_take_ours_away(host: HostFacts, planned: Planned) -> None:
    applied = facts_after(host, planned(host).actions)
    [action] = inside(planned(with_tables(applied, rules="other", kept_empty=True)).actions)
    assert not action.untracked
    assert names(action) == set(EVERYBODY)


@pytest.mark.parametrize("notrack", [False, {"inside": False}])
def test_it_ends_with_what_it_is_for(host: HostFacts, planned: Planned, notrack: object) -> None:
    applied = facts_after(host, planned(host).actions)
    plan = planned(applied, notrack)

    [action] = inside(plan.actions)
    assert not action.untracked
    assert names(action) == set(EVERYBODY)
    assert inside(planned(facts_after(applied, plan.actions), notrack).actions) == []
    assert inside(planned(host, notrack).actions) == []


def test_unread_tables_are_left_alone(facts_of: Callable[[str], HostFacts], planned: Planned) -> None:
    facts = with_bridge_netfilter(with_config(facts_of("operator-28.5"), OPERATOR), on=True)
    assert inside(planned(facts).actions) == []


def spec(**remedies: object) -> Spec:
    return Spec.model_validate({"version": 1, **BALANCED, "remedies": {**NETWORK, "notrack": True, **remedies}})


def test_the_watcher_follows_where_a_run_has_begun_it(host: HostFacts, planned: Planned) -> None:
    applied = planned(host).actions
    today = facts_after(host, applied)
    again = with_containers_restarted(today)

    assert inside(held(spec(), today, applied).actions) == []
    [action] = inside(held(spec(), again, applied).actions)
    assert names(action) == set(EVERYBODY)
    without = tuple(action for action in applied if not isinstance(action, UntrackInside))
    assert inside(held(spec(), again, without).actions) == []
    [ended] = inside(planned(today, {"inside": False}).actions)
    assert inside(held(spec(), again, (*applied, ended)).actions) == []
    assert inside(held(spec(notrack=False), again, applied).actions) == []


def with_sidecar(facts: HostFacts, name: str) -> HostFacts:
    """With a container of this name in haproxy's namespace."""
    owner = next(container for container in facts.containers if container.name == BALANCER)
    sidecar = owner.model_copy(update={"id": "5" * 64, "name": name, "endpoints": (), "ports": ()})
    spaces = (
        space.model_copy(update={"containers": (sidecar.id, *space.containers)})
        if owner.id in space.containers
        else space
        for space in facts.namespaces
    )
    return facts.model_copy(update={"containers": (sidecar, *facts.containers), "namespaces": tuple(spaces)})


def test_who_shares_a_namespace_with_an_end_of_a_pair_is_no_reason_to_undo_it(
    host: HostFacts, planned: Planned
) -> None:
    shared = with_sidecar(host, "aaa-exporter")
    plan = planned(shared)
    [action] = inside(plan.actions)
    assert names(action) == set(EVERYBODY)
    assert inside(planned(facts_after(shared, plan.actions)).actions) == []


def test_the_watcher_leaves_alone_whom_the_runs_left_alone(host: HostFacts, planned: Planned) -> None:
    """Just after its start a container with rules of its own has none yet."""

    def with_own_rules(facts: HostFacts, rules: str) -> HostFacts:
        own = next(container.id for container in facts.containers if container.name == BALANCER)
        spaces = (
            space.model_copy(update={"own_table": OwnTable(entries=0, rules=rules)})
            if own in space.containers
            else space
            for space in facts.namespaces
        )
        return facts.model_copy(update={"namespaces": tuple(spaces)})

    applied = planned(with_own_rules(host, "other")).actions
    started = with_own_rules(with_containers_restarted(facts_after(host, applied)), "engine")
    [action] = inside(held(spec(), started, applied).actions)
    assert names(action) == set(API)


def test_the_watcher_goes_on_with_the_others_when_one_is_let_go(host: HostFacts, planned: Planned) -> None:
    applied = planned(host).actions
    again = with_containers_restarted(facts_after(host, applied))
    [first] = inside(applied)
    let_go = first.model_copy(update={"id": "track_inside", "untracked": False, "members": first.members[:1]})
    [action] = inside(held(spec(), again, (*applied, let_go)).actions)
    assert names(action) == {*EVERYBODY} - {first.members[0].container}
    assert inside(held(spec(notrack={"inside": False}), again, applied).actions) == []
