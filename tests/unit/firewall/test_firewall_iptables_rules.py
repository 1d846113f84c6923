"""Rulesets as iptables rules, and what is found of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from firewall_samples import bridging, hairpin, inside, notrack, notrack_ahead, pair

from remedy.errors import MissingExtraError
from remedy.facts.model import FirewallBackend, FirewallFacts, IptablesTables
from remedy.firewall.forward_guard import guard_table
from remedy.firewall.iptables_differences import differences
from remedy.firewall.iptables_rules import OwnTable, forward_chain, forward_jump, tables
from remedy.firewall.iptables_save import parse
from remedy.firewall.ruleset import Ruleset
from remedy.firewall.writer import select_writer

ENGINE_JUMP = "-A FORWARD -j DOCKER-FORWARD\n"


def own_tables(ruleset: Ruleset) -> list[OwnTable]:
    saved = f"*filter\n:FORWARD ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n{ENGINE_JUMP}COMMIT\n"
    return [*tables(ruleset), *(guard_table(ruleset, family, saved) for family in (4, 6))]


def as_saved(ruleset: Ruleset, family: int) -> str:
    """iptables-save text of a host that has the ruleset and nothing else but the engine's jumps."""
    blocks = []
    for table in own_tables(ruleset):
        if table.family == family and table.chains:
            hooks = sorted({chain.jump.chain for chain in table.chains})
            lines = [f"*{table.name}", *(f":{hook} ACCEPT [0:0]" for hook in hooks)]
            lines += [f":{chain.name} - [0:0]" for chain in table.chains]
            lines += [chain.jump.text for chain in table.chains]
            lines += ["-A FORWARD -j DOCKER-USER"] if table.name == "filter" else []
            lines += [rule.text for chain in table.chains for rule in chain.rules]
            blocks.append("\n".join([*lines, "COMMIT\n"]))
    return "".join(blocks)


def found(ruleset: Ruleset, text: str) -> tuple[str, ...]:
    return tuple(differences([t for t in own_tables(ruleset) if t.family == 4], text, ruleset.name))


@pytest.mark.parametrize("make", [hairpin, bridging, notrack, notrack_ahead, inside])
def test_the_rules_are_the_reviewed_ones(make: Callable[[], Ruleset], golden: Callable[[str, str], None]) -> None:
    text = "".join(f"# IPv{family}\n{as_saved(make(), family)}" for family in (4, 6))
    golden(f"{make.__name__}.iptables", text)


def test_every_rule_has_a_comment_of_remedys() -> None:
    for table in own_tables(bridging()):
        for chain in table.chains:
            for rule in parse(f"*x\n{chain.jump.text}\n" + "\n".join(r.text for r in chain.rules)).tables[0].rules:
                assert rule.comment is not None
                assert rule.comment.startswith("remedy:")


def test_the_guard_asks_docker_user_first_where_there_is_one() -> None:
    with_user = forward_chain(bridging(), 4, has_user_chain=True).rules
    assert with_user[0].target == "DOCKER-USER"
    assert with_user[1:] == forward_chain(bridging(), 4, has_user_chain=False).rules


def test_an_accept_for_speed_has_one_rule_a_bridge_and_protocol_whatever_the_pairs() -> None:
    others = (pair(bridge="br-b", server_address=f"10.5.0.{n}", server=f"api-{n}") for n in range(5, 9))
    more = notrack_ahead().model_copy(update={"untracked": (*others, *notrack_ahead().untracked)})
    rules = forward_chain(more, 4, has_user_chain=False).rules
    assert [(rule.in_interface, rule.out_interface, rule.protocol) for rule in rules] == [
        ("br-0123456789ab", "br-0123456789ab", "tcp"),
        ("br-0123456789ab", "br-0123456789ab", "udp"),
        ("br-b", "br-b", "tcp"),
    ]


def test_an_accept_that_is_needed_stays_by_pair_where_another_would_do_for_speed() -> None:
    both = notrack().model_copy(update={"accept_ahead": True})
    assert forward_chain(both, 4, has_user_chain=True) == forward_chain(notrack(), 4, has_user_chain=True)


def test_only_untracked_packets_enter_unless_redirects_are_accepted_there_too() -> None:
    """A ruleset of both does not exist; it would not accept tracked packets of a pair."""
    assert "--ctstate UNTRACKED" in forward_jump(notrack()).text
    both = bridging().model_copy(update={"untracked": (pair(),)})
    chain = forward_chain(both, 4, has_user_chain=False)
    assert "ctstate" not in chain.jump.text
    assert all("--ctstate UNTRACKED" in rule.text for rule in chain.rules[-2:])


def test_a_host_that_has_the_rules_differs_in_nothing() -> None:
    assert found(bridging(), as_saved(bridging(), 4)) == ()
    assert found(notrack_ahead(), as_saved(notrack_ahead(), 4)) == ()


def test_behind_the_engines_rules_an_accept_for_speed_is_as_it_should_be_and_a_needed_one_is_not() -> None:
    def behind(ruleset: Ruleset) -> tuple[str, ...]:
        jump = forward_jump(ruleset).text + "\n"
        return found(ruleset, as_saved(ruleset, 4).replace(jump, ENGINE_JUMP + jump, 1))

    assert behind(notrack_ahead()) == ()
    assert [line.rpartition(" stands ")[2] for line in behind(notrack())] == [
        "behind the engine's -A FORWARD -j DOCKER-FORWARD"
    ]


def test_an_accept_for_speed_that_is_not_there_or_is_an_earlier_versions_is_told() -> None:
    there = as_saved(notrack_ahead(), 4)
    jump = forward_jump(notrack_ahead()).text
    place = "iptables table filter, chain FORWARD: the jump to REMEDY-NOTRACK-FORWARD"
    assert found(notrack_ahead(), there.replace(jump + "\n", "")) == (f"{place} is missing",)
    old = '-A FORWARD -m comment --comment "remedy:notrack" -j REMEDY-NOTRACK-FORWARD'
    assert found(notrack_ahead(), there.replace(jump, old)) == (f"{place} was changed: {old}",)
    bare = as_saved(notrack_ahead().model_copy(update={"accept_ahead": False}), 4)
    assert found(notrack_ahead(), bare) == ("iptables table filter, chain REMEDY-NOTRACK-FORWARD is missing",)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            '-A REMEDY-BRIDGING-GUARD -i docker0 -m comment --comment "remedy:guard-localnet" -j DROP\n',
            "",
            "iptables table raw, chain REMEDY-BRIDGING-GUARD: rule is missing: "
            '-A REMEDY-BRIDGING-GUARD -i docker0 -m comment --comment "remedy:guard-localnet" -j DROP',
        ),
        (
            "-A REMEDY-BRIDGING-OUT",
            "-A REMEDY-BRIDGING-OUT -j RETURN\n-A REMEDY-BRIDGING-OUT",
            "iptables table nat, chain REMEDY-BRIDGING-OUT: rule is not remedy's: -A REMEDY-BRIDGING-OUT -j RETURN",
        ),
        (
            ":REMEDY-BRIDGING-OUT",
            ":REMEDY-BRIDGING-OLD - [0:0]\n:REMEDY-BRIDGING-OUT",
            "iptables table nat, chain REMEDY-BRIDGING-OLD should not exist",
        ),
        (
            "-A FORWARD -m comment",
            "-A FORWARD -j DOCKER-FORWARD\n-A FORWARD -m comment",
            "iptables table filter, chain FORWARD: the jump to REMEDY-BRIDGING-FORWARD stands behind the engine's "
            "-A FORWARD -j DOCKER-FORWARD",
        ),
        (
            '-A FORWARD -m comment --comment "remedy:bridging" -j REMEDY-BRIDGING-FORWARD\n',
            "",
            "iptables table filter, chain FORWARD: the jump to REMEDY-BRIDGING-FORWARD is missing",
        ),
        (
            '-A FORWARD -m comment --comment "remedy:bridging"',
            "-A FORWARD -s 1.2.3.4/32",
            "iptables table filter, chain FORWARD: the jump to REMEDY-BRIDGING-FORWARD was changed: "
            "-A FORWARD -s 1.2.3.4/32 -j REMEDY-BRIDGING-FORWARD",
        ),
    ],
)
def test_each_change_by_somebody_else_is_told(old: str, new: str, line: str) -> None:
    text = as_saved(bridging(), 4)
    assert old in text
    assert line in found(bridging(), text.replace(old, new, 1))


def test_another_order_is_told() -> None:
    lines = as_saved(hairpin(), 4).split("\n")
    places = [i for i, line in enumerate(lines) if line.startswith("-A REMEDY-HAIRPIN-PRE -i")]
    lines[places[0]], lines[places[1]] = lines[places[1]], lines[places[0]]
    assert found(hairpin(), "\n".join(lines)) == (
        "iptables table nat, chain REMEDY-HAIRPIN-PRE: the rules are in another order",
    )


def test_a_foreign_rule_before_our_jump_is_none_of_our_business() -> None:
    text = as_saved(bridging(), 4).replace("-A FORWARD -m", "-A FORWARD -s 9.9.9.9/32 -j DROP\n-A FORWARD -m", 1)
    assert found(bridging(), text) == ()


def facts(text4: str, text6: str = "", nft: tuple[str, ...] = ()) -> FirewallFacts:
    saved = {4: text4, 6: text6}
    return FirewallFacts(
        backend=FirewallBackend.IPTABLES_LEGACY,
        backend_evidence="test",
        iptables_version=None,
        nft_version=None,
        nft_tables=nft,
        tables=tuple(
            IptablesTables(family=family, variant="legacy", command="x", text=text)  # type: ignore[arg-type]
            for family, text in saved.items()
        ),
    )


def test_the_legacy_writer_judges_by_facts_alone() -> None:
    writer = select_writer(FirewallBackend.IPTABLES_LEGACY)
    there = facts(as_saved(bridging(), 4), as_saved(bridging(), 6))
    assert writer.differences(bridging(), there) == ()
    assert writer.present_names(there) == ("bridging",)
    assert writer.present_names(facts("")) == ()
    assert "ip6tables table nat, chain REMEDY-BRIDGING-PRE is missing" in writer.differences(
        bridging(), facts(as_saved(bridging(), 4))
    )


def test_the_nft_writer_sees_left_overs_in_tables() -> None:
    writer = select_writer(FirewallBackend.IPTABLES_NFT)
    assert writer.present_names(facts("", nft=("ip filter", "ip6 remedy_hairpin"))) == ("hairpin",)
    assert writer.differences(hairpin(), facts("")) == ("table ip remedy_hairpin is missing",)


def test_without_the_extra_the_legacy_writer_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("iptc", "iptc.ip4tc", "iptc.ip6tc"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingExtraError, match="legacy"):
        select_writer(FirewallBackend.IPTABLES_LEGACY).write(hairpin())
