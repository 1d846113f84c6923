"""What the watcher did for a run is undone with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from remedy.apply.followed import Present, joined_undo, read_followed, record_followed
from remedy.apply.foreign import foreign_changes
from remedy.apply.runs import Run
from remedy.apply.undo import to_undo
from remedy.facts.model import HostFacts
from remedy.plan.actions import (
    ConnectNetwork,
    HairpinPort,
    InsideMember,
    NetworkMember,
    SetHairpinMode,
    SetSysctls,
    UntrackInside,
    WriteRules,
)
from remedy.plan.held import with_redirects
from remedy.plan.model import Plan
from remedy.plan.planner import make_plan
from remedy.spec.models import Spec

Journalled = Callable[..., Run]
APPLIED = ("started", ("intent", "hairpin_mode"), ("intent", "hairpin_rules"), "committed")


@pytest.fixture
def plan(plan: Plan, facts: HostFacts) -> Plan:
    backends = [{"containers": ["dev1-api-1", "dev1-api-2"], "port": 8080}]
    keys = {"version": 1, "backends": backends, "remedies": {"hairpin": True}, "accept_pinned": True}
    return make_plan(Spec.model_validate(keys), facts, spec_digest="d", now=plan.created_at)


def mode(plan: Plan, interface: str, bridge: str) -> SetHairpinMode:
    [planned] = [action for action in plan.actions if isinstance(action, SetHairpinMode)]
    port = HairpinPort(bridge=bridge, interface=interface, container="c", container_id="1", previous=False)
    return planned.model_copy(update={"ports": (port,), "bridges": (bridge,)})


def sysctl(bridge: str) -> SetSysctls:
    name = f"net.ipv4.conf.{bridge}.route_localnet"
    keys = dict.fromkeys(("summary", "reason", "before", "after", "inverse"), "")
    return SetSysctls(id="route_localnet", values={name: "1"}, previous={name: "0"}, **keys)


def test_a_bridge_that_came_later_is_undone_with_those_of_the_plan(
    journalled: Journalled, plan: Plan, facts: HostFacts
) -> None:
    run = journalled(*APPLIED)
    record_followed(run.directory, mode(plan, "veth9", "br-new"), {}, Present.of(facts))
    record_followed(run.directory, sysctl("br-new"), {}, Present.of(facts))
    undone = [action for action, _ in run.to_undo()]
    # What the plan had no need of is undone last: rules may rest on it.
    assert [action.id for action in undone] == ["hairpin_rules", "hairpin_mode", "route_localnet"]
    assert [action.id for action, _ in to_undo(run, facts)] == [action.id for action in undone]
    assert undone[1].bridges == ("docker0", "br-new")
    assert undone[1].ports[-1].interface == "veth9"
    assert undone[2].previous == {"net.ipv4.conf.br-new.route_localnet": "0"}


def test_the_value_from_before_is_the_first_one(journalled: Journalled, facts: HostFacts) -> None:
    run = journalled(*APPLIED)
    record_followed(run.directory, sysctl("br-a"), {}, Present.of(facts))
    later = sysctl("br-a").model_copy(update={"previous": {"net.ipv4.conf.br-a.route_localnet": "7"}})
    record_followed(run.directory, later, {}, Present.of(facts))
    [item] = read_followed(run.directory).actions
    assert item.action.previous == {"net.ipv4.conf.br-a.route_localnet": "0"}


def connect(*members: tuple[str, str]) -> ConnectNetwork:
    keys = dict.fromkeys(("summary", "reason", "before", "after", "inverse"), "")
    joined = tuple(NetworkMember(container=name, container_id=identity) for name, identity in members)
    return ConnectNetwork(id="connect_network", network="lb", members=joined, **keys)


def test_a_container_made_again_and_again_is_remembered_once(journalled: Journalled, facts: HostFacts) -> None:
    run = journalled(*APPLIED)
    alive = facts.containers[0]
    for identity in ("old", "older", alive.id):
        record_followed(
            run.directory,
            connect((alive.name, identity)),
            {"present": [], "files": {identity: {"/f": "eA=="}}},
            Present.of(facts),
        )
    [(action, undo)] = [(a, u) for a, u in run.to_undo() if isinstance(a, ConnectNetwork)]
    assert [member.container_id for member in action.members] == [alive.id]
    assert undo["files"] == {alive.id: {"/f": "eA=="}}


def test_what_is_reverted_is_not_undone_again(journalled: Journalled, plan: Plan, facts: HostFacts) -> None:
    run = journalled(*APPLIED, "rollback-started", ("reverted", "hairpin_mode"), ("reverted", "route_localnet"))
    record_followed(run.directory, mode(plan, "veth9", "br-new"), {}, Present.of(facts))
    record_followed(run.directory, sysctl("br-new"), {}, Present.of(facts))
    assert [action.id for action, _ in run.to_undo()] == ["hairpin_rules"]


def test_rules_that_the_watcher_wrote_are_nobody_elses(
    journalled: Journalled, plan: Plan, facts: HostFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = journalled(*APPLIED)
    [write] = [action for action in plan.actions if isinstance(action, WriteRules)]
    newer = with_redirects(write.ruleset, write.ruleset.redirects[:1])
    asked = []

    class Writer:
        def present_names(self, _: object) -> tuple[str, ...]:
            return ("hairpin",)

        def differences(self, ruleset: object, _: object) -> tuple[str, ...]:
            asked.append(ruleset)
            return ()

    monkeypatch.setattr("remedy.apply.foreign.select_writer", lambda _: Writer())
    assert foreign_changes(run, facts) == ()
    run.owned_rules.put(newer)
    assert foreign_changes(run, facts) == ()
    assert asked == [write.ruleset, newer]


def inside(facts: HostFacts, *members: tuple[str, str]) -> UntrackInside:
    keys = dict.fromkeys(("summary", "reason", "before", "after", "inverse"), "")
    meant = tuple(InsideMember(container=name, container_id=identity) for name, identity in members)
    return UntrackInside(id="untrack_inside", members=meant, firewall_backend=facts.firewall.backend, **keys)


def test_whose_own_table_is_kept_empty_is_remembered_while_it_is_there(
    journalled: Journalled, facts: HostFacts
) -> None:
    run = journalled(*APPLIED)
    first, second = facts.containers[:2]
    record_followed(run.directory, inside(facts, (first.name, "gone")), {"present": []}, Present.of(facts))
    record_followed(run.directory, inside(facts, (second.name, second.id)), {"present": []}, Present.of(facts))
    # One that was given another name still runs, with the rules that it has.
    record_followed(run.directory, inside(facts, (second.name, first.id)), {"present": []}, Present.of(facts))
    [item] = read_followed(run.directory).actions
    assert [member.container_id for member in item.action.members] == [second.id, first.id]


def test_who_has_started_again_was_not_as_wished_before_it_was_done(journalled: Journalled, facts: HostFacts) -> None:
    run = journalled(*APPLIED)
    (first, a), (second, b) = ((container.name, container.id) for container in facts.containers[:2])
    record_followed(run.directory, inside(facts, (first, a), (second, b)), {"present": [a, b]}, Present.of(facts))
    record_followed(run.directory, inside(facts, (first, a)), {"present": []}, Present.of(facts))
    followed = read_followed(run.directory)
    assert followed.actions[0].undo["present"] == [b]
    # The run's own word on it is older still.
    assert joined_undo({"present": [a, "c"]}, followed, "untrack_inside") == {"present": ["c", b]}
