"""A container's own conntrack table: whose rules are in its namespace, and whether remedy keeps it empty."""

from __future__ import annotations

import base64
import gzip
import json
import struct
from pathlib import Path

import pytest

from remedy.facts.legacy_targets import chains_of
from remedy.facts.netlink import is_interrupted
from remedy.facts.nft_targets import INET, IPV4, ChainPlace
from remedy.facts.own_tables import own_table
from remedy.firewall import iptables_rules, nft_tables
from remedy.firewall.inside import INSIDE

DATA = Path(__file__).parent / "data" / "legacy-tables.json.gz"
IPV6 = 10
# What an engine of any version writes by iptables-nft into a container on a user-defined network.
ENGINES = {
    ChainPlace(IPV4, "nat", "DOCKER_OUTPUT"): ("", ""),
    ChainPlace(IPV4, "nat", "OUTPUT"): ("DOCKER_OUTPUT",),
    ChainPlace(IPV4, "nat", "DOCKER_POSTROUTING"): ("", ""),
    ChainPlace(IPV4, "nat", "POSTROUTING"): ("DOCKER_POSTROUTING",),
}
OURS = {ChainPlace(IPV4, "remedy_notrack", name): ("",) for name in ("untrack_prerouting", "untrack_output")}


def recorded() -> dict[tuple[str, str], tuple[str, ...]]:
    """The tables of such a container on 20.10 with iptables-legacy, with remedy's rules, as the kernel gave them."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for table, told in json.loads(gzip.decompress(DATA.read_bytes())).items():
        heads = {int(offset): name for offset, name in told["heads"].items()}
        found |= {(table, chain): targets for chain, targets in chains_of(base64.b64decode(told["raw"]), heads)}
    return found


def test_without_rules_nothing_is_tracked() -> None:
    assert own_table(0, {}, {}).rules == "none"
    empty = {ChainPlace(IPV4, "filter", "INPUT"): ()}
    assert own_table(0, empty, {("filter", "INPUT"): ()}).rules == "none"


def test_the_engines_dns_is_known_and_ours_is_no_rule_of_others() -> None:
    engines = own_table(7, ENGINES, {})
    assert (engines.entries, engines.rules, engines.kept_empty) == (7, "engine", False)
    kept = own_table(7, {**ENGINES, **OURS}, {})
    assert (kept.rules, kept.kept_empty) == ("engine", True)


def test_engine_29_has_its_dns_rules_in_a_table_of_its_own() -> None:
    places = {ChainPlace(IPV4, "docker-dns", chain): ("", "") for chain in ("dns-dnat", "dns-snat")}
    assert own_table(0, places, {}).rules == "engine"


@pytest.mark.parametrize(
    "foreign",
    [
        {ChainPlace(IPV4, "filter", "INPUT"): ("DROP",)},
        {ChainPlace(INET, "nat", "OUTPUT"): ("DOCKER_OUTPUT",)},
        {ChainPlace(IPV4, "nat", "OUTPUT"): ("DOCKER_OUTPUT", "")},
        {ChainPlace(IPV4, "nat", "PREROUTING"): ("",)},
    ],
)
def test_any_other_rule_is_somebody_elses(foreign: dict[ChainPlace, tuple[str, ...]]) -> None:
    assert own_table(0, {**ENGINES, **foreign}, {}).rules == "other"


def test_ipv6_is_left_out() -> None:
    assert own_table(0, {**ENGINES, ChainPlace(IPV6, "filter", "INPUT"): ("DROP",)}, {}).rules == "engine"


def test_half_of_ours_keeps_nothing_empty() -> None:
    half = dict([*OURS.items()][:1])
    assert own_table(0, {**ENGINES, **half}, {}).kept_empty is False


def test_the_kernels_own_bytes_tell_the_same_of_iptables_legacy() -> None:
    tables = recorded()
    assert tables["nat", "OUTPUT"] == ("DOCKER_OUTPUT",)
    assert tables["nat", "DOCKER_POSTROUTING"] == ("SNAT", "SNAT")
    assert tables["raw", "REMEDY-NOTRACK-IN"] == ("RETURN", "CT")
    assert tables["filter", "FORWARD"] == ()
    found = own_table(0, {}, tables)
    assert (found.rules, found.kept_empty) == ("engine", True)
    without_jump = {**tables, ("raw", "OUTPUT"): ()}
    assert own_table(0, {}, without_jump).kept_empty is False
    assert own_table(0, {}, {**tables, ("raw", "OUTPUT"): ("REMEDY-NOTRACK-OUT", "TRACE")}).rules == "other"


def test_a_dump_during_which_the_rules_changed_is_told() -> None:
    def message(flags: int) -> bytes:
        return struct.pack("=IHHII", 20, 0xA04, flags, 1, 0) + b"\0" * 4

    assert not is_interrupted(message(2) + message(2))
    assert is_interrupted(message(2) + message(2 | 0x10))
    assert not is_interrupted(b"\0" * 16)


def test_what_the_writers_write_inside_is_what_is_looked_for() -> None:
    written = {
        ChainPlace(IPV4, table.name, chain.name): ("",) * len(chain.rules)
        for table in nft_tables.tables(INSIDE)
        for chain in table.chains
    }
    assert own_table(0, {**ENGINES, **written}, {}).kept_empty
    chains = [chain for table in iptables_rules.tables(INSIDE) for chain in table.chains]
    legacy = {("raw", chain.name): tuple(rule.target for rule in chain.rules) for chain in chains}
    legacy |= {("raw", chain.jump.chain): (chain.name,) for chain in chains}
    assert own_table(0, {}, legacy).kept_empty
