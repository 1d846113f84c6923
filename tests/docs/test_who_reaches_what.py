"""The page's tables are what was measured, and the planner's model says the same."""

from __future__ import annotations

import os
from ipaddress import ip_address

import pytest
from command_blocks import REPOSITORY
from reach_tables import CAPTURES, with_tables

from remedy.captures.facts import load_capture
from remedy.captures.files import read_capture
from remedy.facts.model import HostFacts
from remedy.paths.published import published_ports
from remedy.paths.walk import Datapath
from remedy.plan.foresight import facts_after
from remedy.plan.hairpin import hairpin_actions
from remedy.plan.redirects import hairpin_ruleset
from remedy.spec.models import HairpinOptions, HostPort

PAGE = REPOSITORY / "docs" / "explanation" / "who-reaches-what.md"


def test_the_tables_are_what_was_measured() -> None:
    page = PAGE.read_text()
    current = with_tables(page)
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(current)
        page = current
    assert page == current, f"{PAGE} differs; UPDATE_GOLDEN=1 rewrites it"


@pytest.fixture(params=["20.10.24", "26.1.5", "28.5.2"])
def with_hairpin(request: pytest.FixtureRequest) -> HostFacts:
    facts = load_capture(read_capture(CAPTURES / f"{request.param}-iptables-proxy-on.tar.xz"))
    return facts_after(facts, hairpin_actions(facts, hairpin_ruleset(facts, published_ports(facts), HairpinOptions())))


@pytest.mark.parametrize("source", ["client", "api-1"])
def test_hairpin_rules_lead_the_same_bridge_around_docker_proxy(with_hairpin: HostFacts, source: str) -> None:
    verdict = Datapath(with_hairpin).connect(source, HostPort.parse("172.17.0.1:5001"))

    assert (verdict.via, verdict.source_seen) == ("dnat", ip_address("172.17.0.1"))


@pytest.mark.parametrize(("source", "to"), [("host", "127.0.0.1:5001"), ("other-net", "172.17.0.1:5001")])
def test_everybody_else_goes_as_before(with_hairpin: HostFacts, source: str, to: str) -> None:
    assert Datapath(with_hairpin).connect(source, HostPort.parse(to)).via == "docker-proxy"
