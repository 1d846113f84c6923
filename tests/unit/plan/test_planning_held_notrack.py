"""Untracked pairs for the containers of now: by name at once, by the packet walk when everything is looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Interface
from typing import Any

import pytest
from test_planning_notrack import BALANCER, with_rule
from test_planning_user_network import API, BALANCED, OPERATOR, with_config

from remedy.facts.model import HostFacts
from remedy.firewall.ruleset import Ruleset
from remedy.paths.hypothesis import without_ruleset
from remedy.paths.walk import with_bridge_netfilter
from remedy.plan.actions import Action, ForgetFlows, RemoveRules, WriteRules
from remedy.plan.foresight import facts_after
from remedy.plan.held import Held, as_written_for, held_ruleset, held_rulesets, pinned_to, without_containers
from remedy.plan.held import held as held_by
from remedy.plan.model import Plan
from remedy.plan.notrack.following import NOTHING, remembered
from remedy.plan.notrack.pairs import in_order
from remedy.spec.models import Spec
from remedy.watch.quick_facts import kept_for_quick

NETWORK = "remedy-lb"
REMEDIES = {"user_network": NETWORK, "notrack": True}


def spec(**remedies: object) -> Spec:
    return Spec.model_validate({"version": 1, **BALANCED, "remedies": {**REMEDIES, **remedies}})


def held(spec: Spec, facts: HostFacts, applied: Sequence[Action], last: Ruleset | None = None) -> Held:
    """By all facts; and the watcher comes to the same by what it keeps of them."""
    found = held_by(spec, facts, applied, last)
    by_name = held_rulesets(spec, facts, applied, last)
    assert held_rulesets(spec, kept_for_quick(facts), applied, last) == by_name
    return found


@pytest.fixture(params=["operator-20.10", "operator-28.5"])
def applied(
    request: pytest.FixtureRequest, facts_of: Callable[[str], HostFacts], plan_for: Callable[..., Plan]
) -> tuple[tuple[Action, ...], HostFacts]:
    """The actions of a run, and the host after it."""
    facts = with_bridge_netfilter(with_config(facts_of(request.param), OPERATOR), on=True)
    actions = plan_for(facts, **{**BALANCED, "accept_pinned": True}, remedies=REMEDIES).actions
    return actions, facts_after(facts, actions)


def moved(facts: HostFacts, name: str, last: int, **update: Any) -> HostFacts:
    """The container with another address on the network, or with other values."""

    def one(container: Any) -> Any:
        if container.name != name:
            return container
        ends = []
        for end in container.endpoints:
            subnet = end.ipv4.network
            there = IPv4Interface(f"{subnet.network_address + last}/{subnet.prefixlen}")
            ends.append(end.model_copy(update={"ipv4": there}) if end.network_name == NETWORK else end)
        return container.model_copy(update={"endpoints": tuple(ends), **update})

    return facts.model_copy(update={"containers": tuple(map(one, facts.containers))})


def without(facts: HostFacts, *names: str) -> HostFacts:
    return facts.model_copy(update={"containers": tuple(c for c in facts.containers if c.name not in names)})


def pairs_of(ruleset: Ruleset) -> dict[str, str]:
    return {pair.server: str(pair.server_address) for pair in ruleset.untracked}


def test_nothing_is_done_while_everything_is_as_it_was_left(applied: tuple[tuple[Action, ...], HostFacts]) -> None:
    actions, facts = applied
    found = held(spec(), facts, actions)
    assert found.actions == ()
    assert found.left_tracked == ()
    assert set(pairs_of(found.rulesets[0])) == set(API)


def test_the_accept_is_put_ahead_of_the_engines_rules_again_and_no_flow_is_forgotten(
    applied: tuple[tuple[Action, ...], HostFacts],
) -> None:
    actions, facts = applied
    behind = with_rule(facts, "filter", "FORWARD", "-A FORWARD -j DOCKER-ISOLATION-STAGE-1")
    [write] = held(spec(), behind, actions).actions
    assert isinstance(write, WriteRules)
    assert write.ruleset == held_ruleset(actions, "notrack")
    assert "stands behind the engine's rules" in write.reason
    assert held(spec(), facts_after(behind, [write]), actions).actions == ()


def test_rules_of_a_version_that_did_not_accept_ahead_get_it_with_the_next_look(
    applied: tuple[tuple[Action, ...], HostFacts],
) -> None:
    actions, facts = applied
    written = held_ruleset(actions, "notrack")
    assert written is not None
    record = written.model_dump(mode="json")
    del record["accept_ahead"]
    old = [a.model_copy(update={"ruleset": Ruleset.model_validate(record)}) for a in actions if a.id == "notrack_rules"]
    others = [action for action in actions if action.id != "notrack_rules"]
    before = facts_after(without_ruleset(facts, "notrack"), old)
    [write, _] = held(spec(), before, [*others, *old]).actions
    assert isinstance(write, WriteRules)
    assert write.ruleset == written
    assert held_rulesets(spec(), before, [*others, *old], write.ruleset) == (written,)


def test_what_a_rule_between_the_engines_drops_is_not_opened_for_speed(
    applied: tuple[tuple[Action, ...], HostFacts],
) -> None:
    actions, facts = applied
    written = held_ruleset(actions, "notrack")
    assert written is not None
    # Behind the jump to DOCKER-USER, which was made on top after it.
    closed = f"-A FORWARD -d {written.untracked[0].server_address}/32 -j DROP"
    between = with_rule(without_ruleset(facts, "notrack"), "filter", "FORWARD", "-A FORWARD -j DOCKER-USER", closed)
    found = held(spec(), between, actions).rulesets[0]
    assert found.untracked == written.untracked
    assert (found.forward_guard, found.accept_ahead) == (False, False)


def test_who_was_answered_meanwhile_keeps_the_accept(applied: tuple[tuple[Action, ...], HostFacts]) -> None:
    written = held_ruleset(applied[0], "notrack")
    assert written is not None
    without = written.model_copy(update={"untracked": written.untracked[1:], "accept_ahead": False})
    both = as_written_for(without, written, frozenset({written.untracked[0].server}))
    assert both == written
    assert as_written_for(NOTHING, written, frozenset({BALANCER})).accept_ahead
    assert not without_containers(written, frozenset({BALANCER})).accept_ahead


def test_a_container_with_another_address_is_the_same_end(applied: tuple[tuple[Action, ...], HostFacts]) -> None:
    actions, facts = applied
    today = moved(facts, API[1], 77)
    [quick] = held_rulesets(spec(), today, actions)
    write, forget = held(spec(), today, actions).actions

    assert isinstance(write, WriteRules)
    assert isinstance(forget, ForgetFlows)
    assert quick == write.ruleset
    assert pairs_of(quick)[API[1]].endswith(".77")
    assert len(quick.untracked) == len(API)


def test_who_is_gone_takes_its_pairs_along(applied: tuple[tuple[Action, ...], HostFacts]) -> None:
    actions, facts = applied
    write, _ = held(spec(), without(facts, API[0]), actions).actions
    assert isinstance(write, WriteRules)
    assert set(pairs_of(write.ruleset)) == {*API} - {API[0]}
    assert held_rulesets(spec(), without(facts, API[0]), actions) == (write.ruleset,)
    [removal] = held(spec(), without(facts, BALANCER), actions).actions
    assert isinstance(removal, RemoveRules)

    written = held_ruleset(actions, "notrack")
    assert written is not None
    assert set(pairs_of(without_containers(written, frozenset({API[0]})))) == {*API} - {API[0]}
    assert without_containers(written, frozenset({BALANCER})).is_empty
    assert without_containers(written, frozenset({"stranger"})) is written


def test_a_pair_that_somebody_translates_by_now_is_tracked_and_the_rule_is_named(
    applied: tuple[tuple[Action, ...], HostFacts],
) -> None:
    actions, facts = applied
    written = held_ruleset(actions, "notrack")
    assert written is not None
    server = written.untracked[0]
    match = f"-d {server.server_address}/32 -p tcp -m tcp --dport 8080"
    rule = f"-A PREROUTING {match} -j DNAT --to-destination 172.17.0.9:8080"
    found = held(spec(), with_rule(facts, "nat", "PREROUTING", rule), actions)

    assert server.server not in pairs_of(found.rulesets[0])
    assert len(found.rulesets[0].untracked) == len(API) - 1
    [left] = found.left_tracked
    assert left.code == "notrack-nat"
    assert "172.17.0.9" in left.why


def test_haproxy_led_back_to_the_published_ports_is_tracked_again(
    applied: tuple[tuple[Action, ...], HostFacts],
) -> None:
    actions, facts = applied
    found = held(spec(), with_config(facts, OPERATOR), actions)
    assert [type(action) for action in found.actions] == [RemoveRules]
    assert [left.code for left in found.left_tracked] == ["notrack-nat"] * len(API)


def test_a_pair_that_is_not_reached_at_the_moment_stays(applied: tuple[tuple[Action, ...], HostFacts]) -> None:
    actions, facts = applied
    written = held_ruleset(actions, "notrack")
    assert written is not None
    server = written.untracked[0]
    closed = with_rule(facts, "filter", "DOCKER-USER", f"-A DOCKER-USER -d {server.server_address}/32 -j DROP")
    assert held(spec(), closed, actions).rulesets[0].untracked == written.untracked


def test_who_is_new_is_not_added_before_the_load_balancer_was_read(
    applied: tuple[tuple[Action, ...], HostFacts],
) -> None:
    actions, facts = applied
    known = [action for action in actions if not isinstance(action, WriteRules | ForgetFlows)]
    written = held_ruleset(actions, "notrack")
    assert written is not None
    two = written.model_copy(update={"untracked": written.untracked[1:]})
    write = next(action for action in actions if isinstance(action, WriteRules)).model_copy(update={"ruleset": two})
    again = moved(facts, BALANCER, 88, id="f" * 64)

    assert len(held(spec(), facts, [*known, write]).rulesets[0].untracked) == len(API)
    assert len(held(spec(), again, [*known, write]).rulesets[0].untracked) == len(API) - 1
    # What the walk has found once is followed by name from then on.
    assert len(held_rulesets(spec(), facts, [*known, write], written)[0].untracked) == len(API)
    assert len(held_rulesets(spec(), facts, [*known, write])[0].untracked) == len(API) - 1


def test_a_container_that_came_after_the_look_is_followed_by_name_and_nobody_is_alarmed(
    applied: tuple[tuple[Action, ...], HostFacts],
) -> None:
    actions, facts = applied
    found = held(spec(), moved(facts, API[1], 77, id="e" * 64), actions)
    assert pairs_of(found.rulesets[0])[API[1]].endswith(".77")
    assert len(found.rulesets[0].untracked) == len(API)
    assert found.left_tracked == ()


def test_the_network_that_was_found_last_counts_and_who_is_away_is_not_forgotten(
    applied: tuple[tuple[Action, ...], HostFacts],
) -> None:
    written = held_ruleset(applied[0], "notrack")
    assert written is not None
    elsewhere = [pair.model_copy(update={"network": "dev1_default"}) for pair in written.untracked[:2]]
    known = remembered(written, written.model_copy(update={"untracked": tuple(elsewhere)}))
    assert [(pair.server, pair.network) for pair in known.untracked] == [
        (API[0], "dev1_default"),
        (API[1], "dev1_default"),
        (API[2], NETWORK),
    ]
    assert remembered(written, written) is written
    assert remembered(known, written.model_copy(update={"untracked": ()})) == known


def test_while_its_configuration_is_not_known_the_load_balancer_goes_by_the_same_network(
    applied: tuple[tuple[Action, ...], HostFacts],
) -> None:
    actions, facts = applied
    starting = facts.model_copy(update={"haproxies": ()})  # its end of docker0 is another way to the same servers
    written = held_ruleset(actions, "notrack")
    assert written is not None
    assert held(spec(), starting, actions).rulesets[0].untracked == in_order(written.untracked)


def test_a_spec_that_is_silent_keeps_those_that_are_where_they_were(
    applied: tuple[tuple[Action, ...], HostFacts],
) -> None:
    actions, facts = applied
    silent = Spec.model_validate({"version": 1, **BALANCED, "remedies": {"user_network": NETWORK}})
    assert held(silent, facts, actions).actions == ()
    [quick] = held_rulesets(silent, moved(facts, API[2], 99), actions)
    assert set(pairs_of(quick)) == {*API} - {API[2]}
    [removal] = held(spec(notrack=False), facts, actions).actions
    assert isinstance(removal, RemoveRules)


def test_where_bridges_pass_the_rules_by_for_a_moment_they_stay(
    applied: tuple[tuple[Action, ...], HostFacts],
) -> None:
    actions, facts = applied
    assert held(spec(), with_bridge_netfilter(facts, on=False), actions).actions == ()


def test_people_are_told_both_ends(applied: tuple[tuple[Action, ...], HostFacts]) -> None:
    written = held_ruleset(applied[0], "notrack")
    assert written is not None
    assert pinned_to(written)[0].startswith(f"{BALANCER} ")
    assert pinned_to(written)[0].endswith(":8080")
