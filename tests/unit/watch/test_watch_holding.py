"""A decision meets what has happened since the look it is made by: on a firewall that is a dictionary."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from remedy.apply.followed import Present
from remedy.apply.journal import Journal
from remedy.apply.settings import Settings
from remedy.facts.model import HostFacts, Protocol
from remedy.firewall.ruleset import Redirect, Ruleset, UntrackedPair
from remedy.plan.actions import ConnectNetwork, NetworkMember, RemoveRules, WriteRules
from remedy.plan.held import Held, as_written_for
from remedy.plan.model import Plan
from remedy.plan.plan_file import save_plan
from remedy.plan.planner import make_plan
from remedy.spec.models import Spec
from remedy.watch.deciding import Decided
from remedy.watch.holding import Holding, Joining
from remedy.watch.quick_facts import QuickFacts
from remedy.watch.schedule import Since

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
FACTS = Path(__file__).parents[1] / "plan" / "data" / "facts-operator-28.5.json.gz"
API = ("dev1-api-1", "dev1-api-2", "dev1-api-3")
SPEC = Spec.model_validate(
    {
        "version": 1,
        "backends": [{"containers": list(API), "port": 8080}],
        "remedies": {"hairpin": True},
        "accept_pinned": True,
    }
)


@dataclass
class Firewall:
    """What stands on the host, and how often it was written."""

    standing: dict[str, Ruleset] = field(default_factory=dict)
    writes: int = 0

    def write(self, ruleset: Ruleset) -> None:
        self.standing[ruleset.name] = ruleset
        self.writes += 1

    def remove(self, name: str) -> None:
        self.standing.pop(name, None)
        self.writes += 1

    def read_differences(self, ruleset: Ruleset) -> tuple[str, ...]:
        return () if self.standing.get(ruleset.name) == ruleset else ("it differs",)


@pytest.fixture
def firewall(monkeypatch: pytest.MonkeyPatch) -> Firewall:
    one = Firewall()
    for module in ("remedy.watch.holding", "remedy.actions.rules"):
        monkeypatch.setattr(f"{module}.select_writer", lambda _backend: one)
    monkeypatch.setattr("remedy.watch.holding.forget_unanswered", lambda _redirects: None)
    return one


@pytest.fixture
def facts() -> HostFacts:
    return HostFacts.model_validate_json(gzip.decompress(FACTS.read_bytes()))


@pytest.fixture
def plan(facts: HostFacts) -> Plan:
    return make_plan(SPEC, facts, spec_digest="d", now=NOW)


@pytest.fixture
def write(plan: Plan) -> WriteRules:
    [action] = [action for action in plan.actions if isinstance(action, WriteRules)]
    return action


def apply_run(settings: Settings, plan: Plan, identity: str) -> None:
    directory = settings.runs_dir / identity
    with closing(Journal.create(directory, lambda: NOW)) as journal:
        save_plan(plan, directory / "plan.json")
        journal.write("started", None)
        for action in plan.actions:
            journal.write("intent", action.id)
        journal.write("committed", None)


@pytest.fixture
def holding(tmp_path: Path, plan: Plan, write: WriteRules, firewall: Firewall) -> Holding:
    """The plan is applied."""
    settings = Settings(tmp_path, "unix:///nonexistent.sock")
    apply_run(settings, plan, "20261128-120000-abcd")
    one = Holding(settings, pytest.fail)
    one._context.owned_rules.put(write.ruleset)
    firewall.write(write.ruleset)
    firewall.writes = 0
    assert one.runs.read().state == "applied"
    return one


@pytest.fixture
def decided(holding: Holding, facts: HostFacts) -> Callable[..., Decided]:
    """decided(ruleset, action...) -> by the runs of now."""

    def make(ruleset: Ruleset, *actions: WriteRules | RemoveRules) -> Decided:
        return Decided(holding.runs.seen, Held(actions, (ruleset,)), QuickFacts.of(facts), Present.of(facts))

    return make


def led(ruleset: Ruleset | None) -> dict[str, str]:
    return {} if ruleset is None else {r.container: str(r.to_address) for r in ruleset.redirects}


def moved(ruleset: Ruleset, name: str, address: str | None) -> Ruleset:
    """With the container at this address, or without it."""
    others = [r for r in ruleset.redirects if r.container != name]
    its = [r for r in ruleset.redirects if r.container == name and address]
    again = [r.model_copy(update={"to_address": ip_address(address)}) for r in its]
    return ruleset.model_copy(update={"redirects": tuple(sorted((*others, *again), key=lambda r: r.container))})


def nobody() -> Since:
    return Since()


def test_who_came_back_with_its_address_is_not_recorded_by_a_look_from_before(
    holding: Holding, firewall: Firewall, write: WriteRules, decided: Callable[..., Decided]
) -> None:
    """It was killed after the look had seen its rule, and the rule went; the record must not have it back."""
    holding.drop([API[0]], ["killed"])
    came_back = Since(answered=frozenset({API[0]}))
    done = holding.sync(decided(write.ruleset), ["started"], nobody, lambda: came_back)
    assert done.actions == ()
    assert holding._context.owned_rules.get("hairpin") == firewall.standing["hairpin"]
    assert set(led(firewall.standing["hairpin"])) == set(API[1:])


def test_rules_without_a_record_get_it_when_nothing_changes(
    holding: Holding, write: WriteRules, decided: Callable[..., Decided]
) -> None:
    holding._context.owned_rules.forget("hairpin")
    holding.sync(decided(write.ruleset), ["periodic check"], nobody, nobody)
    assert holding._context.owned_rules.get("hairpin") == write.ruleset


def test_who_was_answered_while_it_was_decided_keeps_that_answer(
    holding: Holding, firewall: Firewall, write: WriteRules, decided: Callable[..., Decided]
) -> None:
    answered = moved(write.ruleset, API[0], "172.17.0.77")
    holding._context.owned_rules.put(answered)
    firewall.write(answered)
    # Decided when it was still at its old address, and because another one had moved.
    wanted = moved(write.ruleset, API[1], "172.17.0.88")
    since = Since(answered=frozenset({API[0]}))
    holding.sync(decided(wanted, write.model_copy(update={"ruleset": wanted})), ["x"], lambda: since, lambda: since)
    found = led(firewall.standing["hairpin"])
    assert (found[API[0]], found[API[1]]) == ("172.17.0.77", "172.17.0.88")
    assert holding._context.owned_rules.get("hairpin") == firewall.standing["hairpin"]
    assert [r.container for r in firewall.standing["hairpin"].redirects] == sorted(found), "in the order of a plan"


def test_who_died_while_it_was_decided_gets_no_rule(
    holding: Holding, firewall: Firewall, write: WriteRules, decided: Callable[..., Decided]
) -> None:
    holding.drop([API[0]], ["died"])
    since = Since(gone=frozenset({API[0]}))
    wanted = moved(write.ruleset, API[1], "172.17.0.88")
    holding.sync(decided(wanted, write.model_copy(update={"ruleset": wanted})), ["x"], lambda: since, lambda: since)
    assert set(led(firewall.standing["hairpin"])) == set(API[1:])


def test_rules_are_not_removed_under_who_was_answered_meanwhile(
    holding: Holding, firewall: Firewall, write: WriteRules, decided: Callable[..., Decided]
) -> None:
    nothing = Ruleset(name="hairpin")
    keys = dict.fromkeys(("summary", "reason", "before", "after", "inverse"), "")
    removal = RemoveRules(id=write.id, ruleset=nothing, firewall_backend=write.firewall_backend, **keys)
    since = Since(answered=frozenset({API[0]}))
    holding.sync(decided(nothing, removal), ["x"], lambda: since, lambda: since)
    assert set(led(firewall.standing["hairpin"])) >= {API[0]}
    holding.sync(decided(nothing, removal), ["x"], nobody, nobody)
    assert "hairpin" not in firewall.standing


def test_what_was_written_meanwhile_is_not_written_twice(
    holding: Holding, firewall: Firewall, write: WriteRules, decided: Callable[..., Decided]
) -> None:
    holding.sync(decided(write.ruleset, write), ["x"], nobody, nobody)
    assert firewall.writes == 0


@pytest.mark.parametrize("behind", [True, False])
def test_an_accept_for_speed_is_written_again_only_while_it_stands_behind_the_engines_rules(
    holding: Holding,
    firewall: Firewall,
    write: WriteRules,
    decided: Callable[..., Decided],
    monkeypatch: pytest.MonkeyPatch,
    behind: bool,
) -> None:
    """It is no difference, and it may have been put ahead since the look."""

    class Guard:
        def stands_behind(self) -> bool:
            return behind

    monkeypatch.setattr("remedy.watch.holding.forward_guard", lambda *_: Guard())
    ruleset = write.ruleset.model_copy(update={"accept_ahead": True})
    holding._context.owned_rules.put(ruleset)
    firewall.write(ruleset)
    firewall.writes = 0
    holding.sync(decided(ruleset, write.model_copy(update={"ruleset": ruleset})), ["x"], nobody, nobody)
    assert firewall.writes == int(behind)


def test_a_decision_for_other_runs_is_made_again(
    holding: Holding, firewall: Firewall, plan: Plan, write: WriteRules, decided: Callable[..., Decided]
) -> None:
    wanted = moved(write.ruleset, API[1], "172.17.0.88")
    before = decided(wanted, write.model_copy(update={"ruleset": wanted}))
    apply_run(holding._settings, plan, "20261128-130000-beef")
    assert holding.sync(before, ["x"], nobody, nobody).again
    assert firewall.writes == 0


def test_no_network_is_joined_for_runs_that_have_changed(
    holding: Holding, plan: Plan, write: WriteRules, decided: Callable[..., Decided], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the loop has read the new ones already."""
    monkeypatch.setattr(holding._apart, "do", pytest.fail)
    joining = Joining((), "20261128-120000-abcd", holding.runs.seen, ())
    apply_run(holding._settings, plan, "20261128-130000-beef")
    holding.runs.read()
    assert holding.join(joining).again


def test_who_is_answered_keeps_the_guard_of_its_bridge() -> None:
    def led_to(container: str, bridge: str, last: int) -> Ruleset:
        redirect = Redirect(
            protocol=Protocol.TCP,
            address=None,
            port=5000 + last,
            to_address=ip_address(f"172.17.0.{last}"),
            to_port=80,
            bridge=bridge,
            subnet=ip_network("172.17.0.0/16"),
            container=container,
            from_loopback=True,
        )
        return Ruleset(name="hairpin", redirects=(redirect,), engine_bridges=(bridge,), guard_localnet=(bridge,))

    both = as_written_for(led_to("a", "br1", 2), led_to("b", "br2", 3), frozenset({"b"}))
    assert both.guard_localnet == both.engine_bridges == ("br1", "br2")
    assert [redirect.container for redirect in both.redirects] == ["a", "b"]


def test_who_is_to_join_a_network_is_left_to_another_thread_and_is_no_pair_until_then(
    holding: Holding, firewall: Firewall, facts: HostFacts, write: WriteRules
) -> None:
    keys = dict.fromkeys(("summary", "reason", "before", "after", "inverse"), "")
    pairs = tuple(
        UntrackedPair(
            protocol=Protocol.TCP,
            client_address=ip_address("172.30.0.2"),
            server_address=ip_address(f"172.30.0.{number}"),
            server_port=8080,
            bridge="br-lb",
            client="dev1-haproxy-1",
            server=name,
            network="lb",
        )
        for number, name in enumerate(API, start=3)
    )
    untracked = Ruleset(name="notrack", untracked=pairs)
    joins = ConnectNetwork(
        id="connect_network", network="lb", members=(NetworkMember(container=API[0], container_id="1"),), **keys
    )
    rules = WriteRules(id="notrack_rules", ruleset=untracked, firewall_backend=write.firewall_backend, **keys)
    decided = Decided(holding.runs.seen, Held((joins, rules), (untracked,)), QuickFacts.of(facts), Present.of(facts))
    done = holding.sync(decided, ["x"], nobody, nobody)
    assert done.joining is not None
    assert done.joining.names == {API[0]}
    assert [join.action for join in done.joining.joins] == [joins]
    assert {pair.server for pair in firewall.standing["notrack"].untracked} == set(API[1:])
