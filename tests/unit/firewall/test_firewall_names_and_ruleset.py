"""What comes from outside cannot break out of a rule; a ruleset says nothing twice."""

from __future__ import annotations

import pytest
from firewall_samples import hairpin, redirect
from pydantic import ValidationError

from remedy.errors import RefusedError
from remedy.firewall import names
from remedy.firewall.iptables_rules import tables as iptables_tables
from remedy.firewall.nft_text import render
from remedy.firewall.ruleset import Ruleset


@pytest.mark.parametrize(
    ("what", "comment"),
    [
        ("dev1-api-1", "remedy:dev1-api-1"),
        ('a"; flush ruleset; "', "remedy:hex:61223b20666c7573682072756c657365743b2022"),
        ("zwei worte", "remedy:hex:7a77656920776f727465"),
        ("ünï", "remedy:hex:c3bc6ec3af"),
        ("", "remedy:hex:"),
        ("x" * 300, "remedy:" + "x" * 120),
    ],
)
def test_a_comment_holds_plain_text_only(what: str, comment: str) -> None:
    assert names.comment(what) == comment
    assert len(names.comment(what)) <= 127


@pytest.mark.parametrize("name", ["docker0", "br-771e56e6714a", "veth@1", "eth0.100", "_x"])
def test_usual_interface_names_are_taken(name: str) -> None:
    assert names.interface(name) == name


@pytest.mark.parametrize("name", ["", "eth+", "br*", 'a"b', "a b", "x" * 16, "-i", "a;b", "ä", "a\nb"])
def test_interface_names_that_are_patterns_or_break_out_are_refused(name: str) -> None:
    with pytest.raises(RefusedError):
        names.interface(name)
    ruleset = Ruleset(name="hairpin", redirects=(redirect(bridge=name),), engine_bridges=("docker0",))
    for write in (render, iptables_tables):
        with pytest.raises(RefusedError):
            write(ruleset)


@pytest.mark.parametrize("name", names.RULESET_NAMES)
def test_chain_names_fit_into_iptables(name: str) -> None:
    assert all(len(names.chain(name, part)) <= 28 for part in ("PRE", "OUT", "POST", "GUARD", "FORWARD"))


@pytest.mark.parametrize(
    "changes",
    [
        {"port": 0},
        {"to_port": 65536},
        {"address": "::1"},
        {"subnet": "fd00::/64"},
        {"to_address": "fd00::2", "subnet": "fd00::/64", "from_loopback": True},
    ],
)
def test_a_redirect_that_no_rule_can_do_is_no_redirect(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        redirect(**changes)


def test_two_redirects_of_the_same_connections_are_no_ruleset() -> None:
    same = (redirect(), redirect(to_address="172.17.0.9"))
    with pytest.raises(ValidationError, match="two redirects for 5001/tcp at any IPv4 address from bridge docker0"):
        Ruleset(name="hairpin", redirects=same, engine_bridges=())
    pinned = (redirect(), redirect(address="10.0.0.1", to_address="172.17.0.9"))
    assert Ruleset(name="hairpin", redirects=pinned, engine_bridges=()).redirects == pinned


def test_a_ruleset_survives_json() -> None:
    assert Ruleset.model_validate_json(hairpin().model_dump_json()) == hairpin()
