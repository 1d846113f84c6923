"""`watch` in remedy.yaml: the watcher's service as the last step of a plan."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from remedy.facts.model import HostFacts
from remedy.plan.actions import SetWatcher
from remedy.plan.foresight import facts_after
from remedy.plan.model import Plan
from remedy.plan.planner import make_plan
from remedy.spec.models import Spec

BACKENDS = [{"containers": ["dev1-api-1", "dev1-api-2", "dev1-api-3"], "port": 8080}]
HAIRPIN = {"backends": BACKENDS, "remedies": {"hairpin": True}}
PLACE = "/etc/remedy/remedy.yaml"


@pytest.fixture
def host(facts_of: Callable[[str], HostFacts]) -> HostFacts:
    return with_watcher(facts_of("operator-28.5"), None)


def with_watcher(facts: HostFacts, state: str | None, *, available: bool = True) -> HostFacts:
    systemd = facts.systemd.model_copy(update={"watcher": state, "available": available})
    return facts.model_copy(update={"systemd": systemd})


def planned(facts: HostFacts, spec_path: str | None = PLACE, **keys: object) -> Plan:
    spec = Spec.model_validate({"version": 1, **keys})
    return make_plan(spec, facts, spec_digest="", now=datetime(2026, 11, 4, tzinfo=UTC), spec_path=spec_path)


def test_it_comes_last_and_pinned_rules_need_no_acceptance(host: HostFacts) -> None:
    plan = planned(host, **HAIRPIN, watch=True)
    *_, rules, watcher = plan.actions

    assert plan.refusals == ()
    assert rules.kind == "write_rules"
    assert isinstance(watcher, SetWatcher)
    assert (watcher.installed, watcher.spec_path, watcher.daemon_json_path) == (True, PLACE, host.daemon_json.path)
    assert planned(facts_after(host, plan.actions), **HAIRPIN, watch=True).actions == ()


@pytest.mark.parametrize("state", ["active", "activating"])
def test_one_that_runs_is_left_as_it_is(host: HostFacts, state: str) -> None:
    assert planned(with_watcher(host, state), watch=True).actions == ()
    assert planned(with_watcher(host, state)).actions == ()


def test_one_that_failed_is_installed_again(host: HostFacts) -> None:
    [watcher] = planned(with_watcher(host, "failed"), watch=True).actions
    assert watcher.before == "failed"
    assert watcher.inverse == "the service's file as it was"


def test_false_removes_it_and_what_it_followed_has_to_be_accepted(host: HostFacts) -> None:
    plan = planned(with_watcher(host, "active"), **HAIRPIN, watch=False)
    assert [refusal.code for refusal in plan.refusals] == ["pinned"]
    [watcher] = planned(with_watcher(host, "active"), watch=False).actions
    assert isinstance(watcher, SetWatcher)
    assert watcher.installed is False
    assert planned(host, watch=False).actions == ()


def test_without_systemd_or_where_its_service_sees_nothing_it_is_refused_early(host: HostFacts) -> None:
    none = planned(with_watcher(host, None, available=False), watch=True)
    hidden = planned(host, "/tmp/remedy.yaml", watch=True)
    assert [(plan.actions, [refusal.code for refusal in plan.refusals]) for plan in (none, hidden)] == [
        ((), ["watcher-without-systemd"]),
        ((), ["watcher-spec-hidden"]),
    ]
    assert "/tmp/remedy.yaml" in hidden.refusals[0].what


def test_another_host_keeps_its_spec_in_the_usual_place(host: HostFacts) -> None:
    [watcher] = planned(host, None, watch=True).actions
    assert isinstance(watcher, SetWatcher)
    assert watcher.spec_path == PLACE
