"""Rules that could not be read may do anything: what could meet them is unknown."""

from __future__ import annotations

import pytest
from captured import facts

from remedy.facts.model import Unread
from remedy.paths.walk import Datapath
from remedy.spec.models import HostPort


@pytest.mark.parametrize("item", ["foreign rules: nft table inet filter", "firewall: iptables-nft-save"])
def test_a_way_that_could_meet_unread_rules_is_unknown_and_says_which(item: str) -> None:
    known = facts("28.5.2-iptables-proxy-on")
    odd = known.model_copy(update={"unread": (Unread(item=item, reason="nft is not installed"),)})

    verdict = Datapath(odd).connect("client", HostPort.parse("172.17.0.1:5001"))

    assert (verdict.reachable, verdict.via) == (None, "unknown")
    assert item in (verdict.unknown_because or "")


def test_what_says_nothing_about_rules_changes_no_verdict() -> None:
    known = facts("28.5.2-iptables-proxy-on")
    odd = known.model_copy(update={"unread": (Unread(item="conntrack", reason="no such file"),)})

    assert Datapath(odd).connect("client", HostPort.parse("172.17.0.1:5001")).via == "docker-proxy"
