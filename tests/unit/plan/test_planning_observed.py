"""Whom a watch saw counts as known, and the plan says how long somebody watched."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from remedy.facts.model import Observed, ObservedConsumer, Protocol, Watch

AT = datetime(2026, 11, 4, 10, 15, tzinfo=UTC)


def observed(client: str, to: str, port: int = 5001, count: int = 3) -> Observed:
    consumer = ObservedConsumer(
        client=client,
        address=None,
        to_address=ip_address(to),
        to_port=port,
        protocol=Protocol.TCP,
        first_seen=AT,
        last_seen=AT,
        count=count,
    )
    return Observed(watches=(Watch(begun=AT - timedelta(hours=2), ended=AT, boot_id="b"),), consumers=(consumer,))


def with_observed(facts, *arguments):
    return facts.model_copy(update={"observed": observed(*arguments)})


def warning(plan, code):
    return next((found for found in plan.warnings if found.code == code), None)


def test_an_observed_client_of_ipv6_loopback_is_not_cut_off(facts_of, plan_for):
    facts = with_observed(facts_of("operator-28.5"), "host", "::1")
    plan = plan_for(facts, remedies={"userland_proxy": False})
    (refusal,) = [refusal for refusal in plan.refusals if refusal.code == "consumer-lost"]
    assert "[::1]:5001" in refusal.what
    assert "seen by `remedy doctor --observe` 3 times, last at 2026-11-04 10:15:00 UTC" in refusal.why


def test_an_observed_container_that_is_gone_is_nobody(facts_of, plan_for):
    plain = plan_for(facts_of("operator-28.5"), remedies={"userland_proxy": False})
    facts = with_observed(facts_of("operator-28.5"), "gone", "172.17.0.1")
    assert plan_for(facts, remedies={"userland_proxy": False}).paths == plain.paths


def test_an_observed_neighbour_is_one_more_path(facts_of, plan_for):
    facts = with_observed(facts_of("operator-28.5"), "dev1-api-3", "172.17.0.1", 5001, 1)
    plan = plan_for(facts, remedies={"userland_proxy": False})
    (path,) = [path for path in plan.paths if path.from_ == "dev1-api-3"]
    assert path.known_by.startswith("seen by `remedy doctor --observe` once")
    assert (path.before, path.after) == ("docker-proxy", "dnat")


def test_the_plan_says_how_long_somebody_watched(facts_of, plan_for):
    facts = facts_of("operator-28.5")
    assert warning(plan_for(facts, remedies={"userland_proxy": False}), "not-watched") is not None
    plan = plan_for(with_observed(facts, "host", "127.0.0.1"), remedies={"userland_proxy": False})
    assert warning(plan, "not-watched") is None
    assert "2 h 0 min of watching, last at 2026-11-04 10:15:00 UTC" in warning(plan, "watched").what


def test_what_was_observed_does_not_make_a_plan_stale(facts_of, plan_for):
    facts = facts_of("operator-28.5")
    spec = {"remedies": {"userland_proxy": False}}
    assert (
        plan_for(facts, **spec).fingerprint == plan_for(with_observed(facts, "host", "127.0.0.1"), **spec).fingerprint
    )
