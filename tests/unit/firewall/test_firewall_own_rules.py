"""What a host's rules would be with remedy's written or removed, compared as a host's real rules are compared."""

from __future__ import annotations

import pytest
from firewall_samples import bridging, hairpin, inside, notrack, notrack_ahead, redirect

from remedy.facts.model import FirewallBackend, FirewallFacts, IptablesTables
from remedy.firewall.iptables_save import rules_of
from remedy.firewall.nft_json import table_as_json
from remedy.firewall.nft_reading import read_tables
from remedy.firewall.nft_tables import tables
from remedy.firewall.own_rules import with_ruleset, without_ruleset
from remedy.firewall.writer import select_writer
from remedy.netfilter.from_iptables import tables_from_iptables
from remedy.netfilter.from_nft import table_from_nft
from remedy.netfilter.rules import UnknownStatement, When

FILTER = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n"
FILTER += "-A FORWARD -j ufw\n-A FORWARD -j DOCKER-USER\n-A FORWARD -o docker0 -j ACCEPT\nCOMMIT\n"


def firewall(backend: FirewallBackend) -> FirewallFacts:
    variant = "legacy" if backend is FirewallBackend.IPTABLES_LEGACY else "nft"
    saved = [IptablesTables(family=family, variant=variant, command="x", text=FILTER) for family in (4, 6)]
    return FirewallFacts(
        backend=backend,
        backend_evidence="",
        iptables_version=None,
        nft_version=None,
        tables=() if backend is FirewallBackend.NFTABLES else tuple(saved),
        nft_tables=("ip docker-bridges",) if backend is FirewallBackend.NFTABLES else (),
    )


SAMPLES = (hairpin(), bridging(), notrack(), notrack_ahead(), inside())
SAMPLE_NAMES = ("hairpin", "bridging", "notrack", "notrack ahead", "inside")


@pytest.mark.parametrize("backend", FirewallBackend)
@pytest.mark.parametrize("ruleset", SAMPLES, ids=SAMPLE_NAMES)
def test_what_would_be_written_is_what_the_writer_wants_and_removal_leaves_nothing(backend, ruleset):
    before, writer = firewall(backend), select_writer(backend)
    after = with_ruleset(before, ruleset)
    assert writer.present_names(after) == (ruleset.name,)
    assert writer.differences(ruleset, after) == ()
    assert with_ruleset(after, ruleset) == after
    gone = without_ruleset(after, ruleset.name)
    assert writer.present_names(gone) == ()
    assert [t.text for t in gone.tables if "REMEDY" in t.text] == []
    assert (gone.nft_tables, gone.nft_json) == (before.nft_tables, before.nft_json)


@pytest.mark.parametrize("ruleset", SAMPLES, ids=SAMPLE_NAMES)
def test_nft_tables_as_json_read_back_as_they_were(ruleset):
    for table in tables(ruleset):
        assert list(read_tables(table_as_json(table))) == [table]


@pytest.mark.parametrize("ruleset", SAMPLES, ids=SAMPLE_NAMES)
def test_the_packet_walk_knows_every_rule_of_remedys(ruleset):
    for table in tables(ruleset):
        typed = table_from_nft(table.title, table_as_json(table), {})
        rules = [rule for chain in typed.chains.values() for rule in chain.rules]
        statements = [statement for rule in rules for statement in rule.statements]
        assert len(rules) == sum(len(chain.rules) for chain in table.chains)
        assert all(rule.statements for rule in rules)
        assert not any(isinstance(statement, UnknownStatement | When) for statement in statements)
    legacy = with_ruleset(firewall(FirewallBackend.IPTABLES_LEGACY), ruleset)
    for saved in legacy.tables:
        assert tables_from_iptables(saved.text, saved.family, saved.variant, {})


@pytest.mark.parametrize("backend", [FirewallBackend.IPTABLES_LEGACY, FirewallBackend.IPTABLES_NFT])
def test_the_accept_stands_before_the_engines_rules_and_behind_foreign_ones(backend):
    text = with_ruleset(firewall(backend), bridging()).tables[0].text
    targets = [rule.target for rule in rules_of(text, "filter", "FORWARD")]
    assert targets == ["ufw", "REMEDY-BRIDGING-FORWARD", "DOCKER-USER", "ACCEPT"]


def test_another_ruleset_of_the_name_takes_the_place_of_the_first():
    first = with_ruleset(firewall(FirewallBackend.IPTABLES_LEGACY), hairpin())
    one = hairpin().model_copy(update={"redirects": (redirect(),)})
    second = with_ruleset(first, one)
    assert select_writer(second.backend).differences(one, second) == ()
