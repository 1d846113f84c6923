"""What may be done without asking, for the containers of now."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from remedy.facts.model import HostFacts, Unread
from remedy.plan.actions import ConnectNetwork, CreateNetwork, NetworkMember, RemoveRules, WriteRules
from remedy.plan.foresight import facts_after
from remedy.plan.held import held, held_ruleset, held_rulesets, unread_for_holding
from remedy.spec.models import Spec
from remedy.watch.quick_facts import kept_for_quick

BACKENDS = [{"containers": ["dev1-api-1", "dev1-api-2", "dev1-api-3"], "port": 8080}]
HAIRPIN = {"backends": BACKENDS, "remedies": {"hairpin": True}, "accept_pinned": True}


def spec(**keys: object) -> Spec:
    return Spec.model_validate({"version": 1, **HAIRPIN, **keys})


def actions_of(spec, facts, applied):
    found = held(spec, facts, applied)
    kept = kept_for_quick(facts)
    assert held_rulesets(spec, kept, applied) == found.rulesets, "the watcher keeps too little of a look"
    return found.actions


def changed(facts: HostFacts, name: str, **update: object) -> HostFacts:
    found = tuple(c.model_copy(update=update) if c.name == name else c for c in facts.containers)
    return facts.model_copy(update={"containers": found})


def without(facts: HostFacts, *names: str) -> HostFacts:
    return facts.model_copy(update={"containers": tuple(c for c in facts.containers if c.name not in names)})


@pytest.fixture
def applied(facts_of, plan_for):
    """The actions of a run, and the host after it."""
    facts = facts_of("operator-28.5")
    actions = plan_for(facts, **HAIRPIN).actions
    return actions, facts_after(facts, actions)


def test_where_nothing_was_applied_there_is_nothing_to_hold(facts_of):
    assert actions_of(spec(), facts_of("operator-28.5"), ()) == ()


def test_nothing_is_done_while_everything_is_as_it_was_left(applied):
    actions, facts = applied
    assert actions_of(spec(), facts, actions) == ()


def test_rules_that_are_gone_are_written_again(applied, facts_of):
    actions, _ = applied
    again = actions_of(spec(), facts_of("operator-28.5"), actions)
    assert [action.kind for action in again] == ["hairpin_mode", "write_rules"]


def test_a_container_that_is_gone_takes_its_rules_with_it_and_no_error(applied):
    actions, facts = applied
    [write] = actions_of(spec(), without(facts, "dev1-api-2"), actions)
    assert isinstance(write, WriteRules)
    assert {redirect.container for redirect in write.ruleset.redirects} == {"dev1-api-1", "dev1-api-3"}
    everything = without(facts, "dev1-api-1", "dev1-api-2", "dev1-api-3", "dev1-haproxy-1")
    assert [type(action) for action in actions_of(spec(), everything, actions)] == [RemoveRules]


def test_a_spec_that_says_nothing_of_the_rules_only_loses_those_that_are_wrong(applied):
    actions, facts = applied
    silent = spec(remedies={})
    assert actions_of(silent, facts, actions) == ()
    [write] = actions_of(silent, changed(facts, "dev1-api-1", pid=0, state="exited"), actions)
    assert {redirect.container for redirect in write.ruleset.redirects} == {"dev1-api-2", "dev1-api-3"}


def test_the_engine_is_never_restarted_whatever_the_spec_wants(applied):
    actions, facts = applied
    assert actions_of(spec(remedies={"hairpin": True, "userland_proxy": False}), facts, actions) == ()


def test_what_a_newer_run_took_away_is_not_held(applied):
    actions, _ = applied
    [write] = [action for action in actions if isinstance(action, WriteRules)]
    removal = RemoveRules(
        id="hairpin_rules", summary="", reason="", before="", after="", inverse="", ruleset=write.ruleset,
        firewall_backend=write.firewall_backend,
    )  # fmt: skip
    assert held_ruleset(actions, "hairpin") == write.ruleset
    assert held_ruleset((*actions, removal), "hairpin") is None


def connected(facts: HostFacts, *names: str) -> ConnectNetwork:
    network = next(network.name for network in facts.networks if network.driver == "bridge")
    keys = dict.fromkeys(("summary", "reason", "before", "after", "inverse"), "")
    members = tuple(NetworkMember(container=name, container_id="then", aliases=("api",)) for name in names)
    return ConnectNetwork(id="connect_network", network=network, members=members, **keys)


def test_a_member_made_again_joins_by_its_name_and_a_new_one_of_its_service_too(facts_of):
    facts = facts_of("operator-28.5")
    run = connected(facts, "dev1-api-1")
    facts = changed(facts, "dev1-api-1", endpoints=())
    facts = changed(facts, "dev1-api-2", endpoints=())
    [joining] = actions_of(spec(), facts, [run])
    ids = {container.name: container.id for container in facts.containers}
    assert {(m.container, m.container_id) for m in joining.members} == {
        (n, ids[n]) for n in ("dev1-api-1", "dev1-api-2")
    }
    assert all(member.aliases == ("api",) for member in joining.members)
    stopped = changed(changed(facts, "dev1-api-1", pid=0, state="exited"), "dev1-api-2", pid=0, state="exited")
    assert actions_of(spec(), stopped, [run]) == ()


def test_what_could_not_be_read_is_not_taken_for_gone(facts_of):
    facts = facts_of("operator-28.5")
    dying, blind = Unread(item="namespace of container x", reason="gone"), Unread(item="firewall", reason="no nft")
    assert unread_for_holding(facts.model_copy(update={"unread": (dying,)})) == ()
    assert unread_for_holding(facts.model_copy(update={"unread": (dying, blind)})) == ("firewall: no nft",)


def made_and_joined(facts: HostFacts, name: str = "remedy-lb") -> tuple[CreateNetwork, ConnectNetwork]:
    keys = dict.fromkeys(("summary", "reason", "before", "after", "inverse"), "")
    made = CreateNetwork(
        id="create_network",
        name=name,
        internal=True,
        subnets=(ip_network("172.30.255.0/24"),),
        labels={"remedy.intent": "of this run"},
        **keys,
    )
    return made, connected(facts, "dev1-api-1").model_copy(update={"network": name})


def named(facts: HostFacts, name: str, **update: object) -> HostFacts:
    """The facts with one more network, like the default bridge, of that name."""
    bridge = next(network for network in facts.networks if network.driver == "bridge")
    more = bridge.model_copy(update={"id": "f" * 64, "name": name, "bridge": "br-ffffffffffff", **update})
    return facts.model_copy(update={"networks": (*facts.networks, more)})


def test_a_network_that_a_run_made_and_that_is_gone_is_made_again_as_the_same(facts_of):
    facts = facts_of("operator-28.5")
    applied = made_and_joined(facts)
    made, joining = actions_of(spec(), facts, applied)
    assert made.labels == {"remedy.intent": "of this run"}
    assert made.summary == "make the network remedy-lb again"
    assert [member.container for member in joining.members] == ["dev1-api-1", "dev1-api-2", "dev1-api-3"]
    assert actions_of(spec(), facts, applied[1:]) == ()  # somebody else's is not remedy's to make


def test_one_that_somebody_else_made_in_its_place_is_joined_unless_a_plan_would_refuse_it(facts_of):
    facts = facts_of("operator-28.5")
    [joining] = actions_of(spec(), named(facts, "remedy-lb", internal=True), made_and_joined(facts))
    assert joining.summary == "connect dev1-api-1, dev1-api-2, dev1-api-3 to remedy-lb"
    applied = made_and_joined(facts, "aaa")  # not internal, and before `bridge`: the default route would move
    refused = held(spec(), named(facts, "aaa", internal=False), applied)
    assert refused.actions == ()
    assert [refusal.code for refusal in refused.unjoined] == ["default-route-would-move"]
    foreign = held(spec(), named(facts, "remedy-lb", driver="macvlan"), made_and_joined(facts))
    assert [refusal.code for refusal in foreign.unjoined] == ["network-unfit"]
