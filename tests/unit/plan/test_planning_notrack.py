"""notrack: which pairs, in which order, and what is refused with which rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from test_planning_user_network import API, BALANCED, OPERATOR, with_config

from remedy.facts.model import FirewallBackend, HostFacts
from remedy.firewall.saved_edit import EditableRules
from remedy.paths.hypothesis import with_sysctls
from remedy.paths.published import ICC_OPTION
from remedy.paths.telling import translations
from remedy.paths.walk import Datapath, with_bridge_netfilter
from remedy.plan.actions import ConnectNetwork, ForgetFlows, RemoveRules, RewireHaproxy, WriteRules
from remedy.plan.foresight import facts_after
from remedy.plan.model import Plan
from remedy.spec.models import HostPort

EMPTY = "*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n"
BALANCER = "dev1-haproxy-1"
STRAIGHT = OPERATOR.replace("172.17.0.1:5001", "172.17.0.3:8080").replace("172.17.0.1:5002", "172.17.0.4:8080")
STRAIGHT = STRAIGHT.replace("172.17.0.1:5003", "172.17.0.5:8080")


@pytest.fixture(params=["operator-20.10", "operator-28.5"])
def host(request: pytest.FixtureRequest, facts_of: Callable[[str], HostFacts]) -> HostFacts:
    """Bridge netfilter on; haproxy by the gateway."""
    return with_bridge_netfilter(with_config(facts_of(request.param), OPERATOR), on=True)


@pytest.fixture
def straight(facts_of: Callable[[str], HostFacts]) -> HostFacts:
    """haproxy uses the containers' own addresses on docker0."""
    return with_bridge_netfilter(with_config(facts_of("operator-28.5"), STRAIGHT), on=True)


@pytest.fixture
def planned(plan_for: Callable[..., Plan]) -> Callable[..., Plan]:
    def plan(facts: HostFacts, *, notrack: object = True, **keys: Any) -> Plan:
        remedies = {"notrack": notrack, **keys.pop("remedies", {})}
        return plan_for(facts, **{**BALANCED, "accept_pinned": True, **keys}, remedies=remedies)

    return plan


def rules_of(plan: Plan) -> WriteRules:
    return next(a for a in plan.actions if isinstance(a, WriteRules) and a.ruleset.name == "notrack")


def codes(plan: Plan) -> list[str]:
    return [refusal.code for refusal in plan.refusals]


def warned(plan: Plan) -> list[str]:
    return [warning.code for warning in plan.warnings]


def with_rule(facts: HostFacts, table: str, chain: str, *rules: str) -> HostFacts:
    """These rules first in a chain of the engine's variant of iptables, IPv4."""
    tables = []
    for saved in facts.firewall.tables:
        edited = EditableRules(saved.text)
        if saved.family == 4 and edited.has_chain(table, chain):
            edited.put(table, chain, (*rules, *edited.rules(table, chain)))
            saved = saved.model_copy(update={"text": edited.text})
        tables.append(saved)
    return facts.model_copy(update={"firewall": facts.firewall.model_copy(update={"tables": tuple(tables)})})


def test_the_pairs_come_after_the_rewiring_that_makes_them_neighbours(
    host: HostFacts, planned: Callable[..., Plan]
) -> None:
    plan = planned(host, remedies={"user_network": "remedy-lb"})

    assert plan.refusals == ()
    kinds = [type(action) for action in plan.actions]
    assert kinds.index(ConnectNetwork) < kinds.index(RewireHaproxy) < kinds.index(WriteRules) < kinds.index(ForgetFlows)
    pairs = rules_of(plan).ruleset.untracked
    assert {(pair.client, pair.server, pair.network, pair.server_port) for pair in pairs} == {
        (BALANCER, name, "remedy-lb", 8080) for name in API
    }
    ruleset = rules_of(plan).ruleset
    assert (ruleset.forward_guard, ruleset.accept_ahead) == (False, True)
    assert "accepted ahead of the engine's rules" in rules_of(plan).reason


def test_afterwards_there_is_no_entry_and_a_second_plan_is_empty(host: HostFacts, planned: Callable[..., Plan]) -> None:
    plan = planned(host, remedies={"user_network": "remedy-lb"})
    later = facts_after(host, plan.actions)
    pair = rules_of(plan).ruleset.untracked[0]
    verdict = Datapath(later).connect(BALANCER, HostPort(address=pair.server_address, port=8080))

    assert (verdict.reachable, verdict.via, verdict.conntrack_entries) == (True, "direct", 0)
    assert translations(verdict) == ()
    assert [a.kind for a in planned(later, remedies={"user_network": "remedy-lb"}).actions if "rules" in a.kind] == []


def test_docker_proxy_in_between_is_refused_with_the_remedy_that_helps(
    host: HostFacts, planned: Callable[..., Plan]
) -> None:
    plan = planned(host)

    assert codes(plan) == ["notrack-nat"] * 3
    assert "docker-proxy pid" in plan.refusals[0].why
    assert "user_network" in plan.refusals[0].cure
    assert plan.actions == ()


def test_our_own_dnat_is_refused_too_and_shown(host: HostFacts, planned: Callable[..., Plan]) -> None:
    plan = planned(host, remedies={"hairpin": True})

    assert codes(plan) == ["notrack-nat"] * 3
    assert "the destination becomes 172.17.0.3:8080" in plan.refusals[0].why
    assert "remedy:" in plan.refusals[0].why


def test_pairs_on_the_default_bridge_are_pairs_too(straight: HostFacts, planned: Callable[..., Plan]) -> None:
    plan = planned(straight)

    assert plan.refusals == ()
    assert {(p.network, p.bridge) for p in rules_of(plan).ruleset.untracked} == {("bridge", "docker0")}


def test_somebody_elses_masquerade_is_refused_and_shown(straight: HostFacts, planned: Callable[..., Plan]) -> None:
    rule = "-A POSTROUTING -s 172.17.0.0/16 -d 172.17.0.0/16 -j MASQUERADE"
    plan = planned(with_rule(straight, "nat", "POSTROUTING", rule))

    assert codes(plan) == ["notrack-nat"] * 3
    assert rule in plan.refusals[0].why


def test_what_the_engine_accepts_only_as_established_is_accepted_by_pair(
    straight: HostFacts, planned: Callable[..., Plan]
) -> None:
    # A network without icc, and the one port that its operator opened.
    closed = with_rule(straight, "filter", "DOCKER-FORWARD", "-A DOCKER-FORWARD -i docker0 -o docker0 -j DROP")
    opened = "-A DOCKER-USER -i docker0 -o docker0 -p tcp -m tcp --dport 8080 -j ACCEPT"
    back = "-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    plan = planned(with_rule(closed, "filter", "DOCKER-USER", opened, back))

    assert plan.refusals == ()
    ruleset = rules_of(plan).ruleset
    assert (ruleset.forward_guard, ruleset.accept_ahead) == (True, False)


def without_icc(facts: HostFacts) -> HostFacts:
    """As the engine says it of the default bridge; the rules are those of a network that has it."""
    networks = [
        n.model_copy(update={"options": {**n.options, ICC_OPTION: "false"}}) if n.bridge == "docker0" else n
        for n in facts.networks
    ]
    return facts.model_copy(update={"networks": tuple(networks)})


def with_backend(facts: HostFacts, backend: FirewallBackend) -> HostFacts:
    return facts.model_copy(update={"firewall": facts.firewall.model_copy(update={"backend": backend})})


def test_a_whole_bridge_is_accepted_ahead_only_where_the_engine_accepts_it_all(
    straight: HostFacts, planned: Callable[..., Plan]
) -> None:
    def accepts(facts: HostFacts) -> tuple[bool, bool]:
        ruleset = rules_of(planned(facts)).ruleset
        return ruleset.forward_guard, ruleset.accept_ahead

    assert accepts(straight) == (False, True)
    assert accepts(without_icc(straight)) == (False, False)
    assert accepts(with_backend(straight, FirewallBackend.NFTABLES)) == (False, False), "no accept counts there"
    tables = tuple(t.model_copy(update={"text": EMPTY}) if t.family == 4 else t for t in straight.firewall.tables)
    bare = straight.model_copy(update={"firewall": straight.firewall.model_copy(update={"tables": tables})})
    assert accepts(bare) == (False, False), "whoever filters there, it is not the engine"


def test_a_second_plan_is_empty_also_behind_the_engines_rules_of_a_restart(
    straight: HostFacts, planned: Callable[..., Plan]
) -> None:
    """Speed is no reason for a plan to ask somebody."""
    written = facts_after(straight, planned(straight).actions)
    again = with_rule(written, "filter", "FORWARD", "-A FORWARD -j DOCKER-FORWARD")
    assert planned(written).actions == planned(again).actions == ()


def test_an_operators_drop_is_not_overruled(straight: HostFacts, planned: Callable[..., Plan]) -> None:
    rules = (
        "-A DOCKER-USER -p tcp -m tcp --dport 8080 -j ACCEPT",
        "-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A DOCKER-USER -i docker0 -o docker0 -j DROP",
    )
    plan = planned(with_rule(straight, "filter", "DOCKER-USER", *rules))

    assert codes(plan) == ["notrack-dropped"] * 3
    assert rules[2] in plan.refusals[0].why
    assert "UNTRACKED" in plan.refusals[0].cure


def test_the_engines_own_nftables_cannot_be_overruled_either(straight: HostFacts, planned: Callable[..., Plan]) -> None:
    closed = with_rule(straight, "filter", "DOCKER-FORWARD", "-A DOCKER-FORWARD -i docker0 -o docker0 -j DROP")
    opened = "-A DOCKER-USER -i docker0 -o docker0 -p tcp -m tcp --dport 8080 -j ACCEPT"
    back = "-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    facts = with_rule(closed, "filter", "DOCKER-USER", opened, back)
    native = facts.firewall.model_copy(update={"backend": FirewallBackend.NFTABLES})

    assert codes(planned(facts.model_copy(update={"firewall": native}))) == ["notrack-dropped"] * 3


def test_without_bridge_netfilter_there_is_nothing_to_do_and_rules_go(
    straight: HostFacts, planned: Callable[..., Plan]
) -> None:
    off = with_bridge_netfilter(straight, on=False)
    assert planned(off).actions == ()
    assert "notrack-not-needed" in warned(planned(off))

    written = facts_after(straight, planned(straight).actions)
    gone = planned(with_bridge_netfilter(written, on=False))
    assert [type(action) for action in gone.actions] == [RemoveRules]


def test_the_switch_that_turns_bridge_netfilter_on_is_foreseen_and_the_choice_explained(
    facts_of: Callable[[str], HostFacts], planned: Callable[..., Plan]
) -> None:
    off = with_bridge_netfilter(with_config(facts_of("operator-28.5"), OPERATOR), on=False)
    plan = planned(off, remedies={"user_network": "remedy-lb", "userland_proxy": False})

    assert len(rules_of(plan).ruleset.untracked) == 3
    assert plan.actions[-1].kind == "forget_flows"
    assert "notrack-or-bridge-nf" in warned(plan)


def test_false_removes_the_rules_ahead_of_everything_else(straight: HostFacts, planned: Callable[..., Plan]) -> None:
    written = facts_after(straight, planned(straight).actions)
    plan = planned(written, notrack=False, remedies={"user_network": "remedy-lb"})

    assert isinstance(plan.actions[0], RemoveRules)
    assert plan.actions[0].ruleset.name == "notrack"
    assert planned(straight, notrack=False).actions == ()


def test_a_container_with_another_address_takes_its_rule_along(
    straight: HostFacts, planned: Callable[..., Plan]
) -> None:
    written = facts_after(straight, planned(straight).actions)
    stopped = tuple(
        c.model_copy(update={"state": "exited", "pid": 0, "endpoints": ()}) if c.name == API[2] else c
        for c in written.containers
    )
    plan = planned(written.model_copy(update={"containers": stopped}))

    assert {pair.server for pair in rules_of(plan).ruleset.untracked} == set(API[:2])


def test_pinned_rules_have_to_be_accepted(straight: HostFacts, planned: Callable[..., Plan]) -> None:
    assert codes(planned(straight, accept_pinned=False)) == ["pinned"]


def test_a_load_balancer_is_needed_and_one_in_a_container(straight: HostFacts, planned: Callable[..., Plan]) -> None:
    assert codes(planned(straight, load_balancer={"unit": "haproxy.service"})) == ["load-balancer-on-host"]
    assert codes(planned(straight, load_balancer=None)) == ["no-load-balancer"]


def test_another_network_than_the_one_in_use_is_not_untracked(
    straight: HostFacts, planned: Callable[..., Plan]
) -> None:
    plan = planned(straight, notrack={"network": "elsewhere"})

    assert codes(plan) == ["notrack-no-shared-network"] * 3
    assert "elsewhere" in plan.refusals[0].what


def test_udp_and_ipv6_have_their_settings(straight: HostFacts, planned: Callable[..., Plan]) -> None:
    udp = [{"containers": API, "port": 8080, "protocol": "udp"}]
    assert {pair.protocol for pair in rules_of(planned(straight, backends=udp)).ruleset.untracked} == {"udp"}
    sctp = [{"containers": API, "port": 8080, "protocol": "sctp"}]
    assert codes(planned(straight, backends=sctp)) == ["notrack-protocol"] * 3
    six = with_sysctls(straight, {"net.bridge.bridge-nf-call-ip6tables": "0"})
    assert {pair.family for pair in rules_of(planned(six)).ruleset.untracked} == {4}
