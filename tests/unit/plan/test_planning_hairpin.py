"""Planning the hairpin remedy, the basis of a plan, and what a plan file says."""

import json

import pytest

from remedy.errors import InputError, SpecError
from remedy.facts.model import Unread
from remedy.plan.basis import basis_of, changed_items
from remedy.plan.plan_file import load_plan, save_plan

BACKENDS = [{"containers": ["dev1-api-1", "dev1-api-2", "dev1-api-3"], "port": 8080}]


def test_rules_that_are_pinned_to_addresses_are_refused_until_they_are_accepted(facts_of, plan_for):
    facts = facts_of("operator-28.5")
    plan = plan_for(facts, backends=BACKENDS, remedies={"hairpin": True})
    assert [refusal.code for refusal in plan.refusals] == ["pinned"]
    for accepted in ({"accept_pinned": True}, {"policy": {"accept_pinned": True}}):
        assert plan_for(facts, backends=BACKENDS, remedies={"hairpin": True}, **accepted).refusals == ()


@pytest.mark.parametrize(("watcher", "refused"), [("active", []), ("failed", ["pinned"]), (None, ["pinned"])])
def test_a_watcher_that_runs_makes_pinned_rules_safe(facts_of, plan_for, watcher, refused):
    facts = facts_of("operator-28.5")
    facts = facts.model_copy(update={"systemd": facts.systemd.model_copy(update={"watcher": watcher})})
    plan = plan_for(facts, backends=BACKENDS, remedies={"hairpin": True})
    assert [refusal.code for refusal in plan.refusals] == refused
    assert all("remedy watch --install" in refusal.cure for refusal in plan.refusals)


def test_hairpin_takes_only_the_backends_ports_for_their_own_bridge(facts_of, plan_for):
    plan = plan_for(facts_of("operator-28.5"), backends=BACKENDS, remedies={"hairpin": True}, accept_pinned=True)
    [write] = [a for a in plan.actions if a.kind == "write_rules"]
    assert {r.port for r in write.ruleset.redirects} == {5001, 5002, 5003}
    assert all(r.from_own_bridge and not (r.from_elsewhere or r.from_loopback) for r in write.ruleset.redirects)
    assert write.ruleset.guard_localnet == ()


def test_loopback_comes_with_route_localnet_and_its_guard(facts_of, plan_for):
    remedies = {"hairpin": {"loopback": True}}
    plan = plan_for(facts_of("operator-28.5"), backends=BACKENDS, remedies=remedies, accept_pinned=True)
    [write] = [a for a in plan.actions if a.kind == "write_rules"]
    [sysctl] = [a for a in plan.actions if a.kind == "sysctl"]
    assert write.ruleset.guard_localnet == ("docker0",)
    assert sysctl.values == {"net.ipv4.conf.docker0.route_localnet": "1"}


def test_hairpin_with_the_proxy_going_off_leaves_no_rules(facts_of, plan_for):
    plan = plan_for(facts_of("operator-28.5"), backends=BACKENDS, remedies={"hairpin": True, "userland_proxy": False})
    assert "hairpin" not in {a.ruleset.name for a in plan.actions if a.kind == "write_rules"}
    assert "hairpin-not-needed" in {warning.code for warning in plan.warnings}


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"load_balancer": "dev1-haproxy-2"}, "dev1-haproxy-1"),
        ({"backends": [{"containers": ["dev1-api-9"], "port": 8080}]}, "dev1-api-"),
        ({"backends": [{"project": "nope", "service": "api", "port": 8080}]}, "nope"),
        ({"backends": [*BACKENDS, {"project": "dev1", "service": "api", "port": 8080}]}, "two backends"),
    ],
)
def test_names_that_match_nothing_or_twice_are_errors_that_name_them(facts_of, plan_for, keys, named):
    with pytest.raises(SpecError) as caught:
        plan_for(facts_of("operator-28.5"), **keys)
    assert named in str(caught.value)


def test_the_basis_does_not_change_with_the_order_of_the_engines_rules(facts_of):
    facts = facts_of("operator-28.5")
    tables = next(t for t in facts.firewall.tables if t.family == 4)
    accepts = [line for line in tables.text.splitlines() if line.startswith("-A DOCKER -d")]
    swapped = tables.text.replace(accepts[0], "X").replace(accepts[1], accepts[0]).replace("X", accepts[1])
    other = tables.model_copy(update={"text": swapped})
    firewall = facts.firewall.model_copy(
        update={"tables": tuple(other if t is tables else t for t in facts.firewall.tables)}
    )
    assert swapped != tables.text
    assert basis_of(facts) == basis_of(facts.model_copy(update={"firewall": firewall}))


def test_what_changed_is_named(facts_of):
    facts = facts_of("operator-28.5")
    first = facts.containers[0].model_copy(update={"started_at": "later"})
    other = facts.model_copy(update={"containers": (first, *facts.containers[1:])})
    assert changed_items(basis_of(facts), basis_of(other)) == (f"container {first.name}: changed",)


def test_a_plan_survives_its_file_and_an_edit_of_the_file_is_noticed(facts_of, plan_for, tmp_path):
    plan = plan_for(facts_of("operator-28.5"), remedies={"userland_proxy": False})
    path = tmp_path / "plan.json"
    save_plan(plan, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_plan(path) == plan
    document = json.loads(path.read_text())
    document["plan"]["actions"][0]["values"] = {"kernel.core_pattern": "|/bin/sh"}
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="edited"):
        load_plan(path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"kind": "other"}', '{"kind": "remedy-plan", "plan": {}}'])
def test_what_is_no_plan_file_is_refused(tmp_path, content):
    path = tmp_path / "plan.json"
    path.write_text(content)
    with pytest.raises(InputError):
        load_plan(path)


def test_the_proxy_going_on_and_hairpin_share_what_both_need(facts_of, plan_for):
    """Two actions of one name would be undone as one."""
    facts = facts_of("operator-28.5")
    facts = facts.model_copy(update={"engine": facts.engine.model_copy(update={"userland_proxy": False})})
    remedies = {"userland_proxy": True, "hairpin": {"loopback": True}}
    plan = plan_for(facts, backends=BACKENDS, remedies=remedies, accept_pinned=True)
    ids = [action.id for action in plan.actions]
    assert {"route_localnet", "hairpin_mode", "hairpin_rules"} <= set(ids)
    assert len(ids) == len(set(ids))


def test_rules_that_could_not_be_read_are_a_refusal_for_hairpin_too(facts_of, plan_for):
    unread = (Unread(item="firewall: nft tables of IPv4", reason="no such program"),)
    facts = facts_of("operator-28.5").model_copy(update={"unread": unread})
    plan = plan_for(facts, backends=BACKENDS, remedies={"hairpin": True}, accept_pinned=True)
    assert [refusal.code for refusal in plan.refusals] == ["unread"]
