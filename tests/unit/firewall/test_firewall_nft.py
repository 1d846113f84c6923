"""Rulesets as nft tables: the text, and the tables read back."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from firewall_samples import bridging, hairpin, inside, notrack, pair, redirect

from remedy.firewall.nft_differences import differences
from remedy.firewall.nft_model import NftTable
from remedy.firewall.nft_reading import read_tables
from remedy.firewall.nft_tables import tables
from remedy.firewall.nft_text import render, render_removal
from remedy.firewall.ruleset import Ruleset


@pytest.mark.parametrize("make", [hairpin, bridging, notrack, inside])
def test_the_script_is_the_reviewed_one(make: Callable[[], Ruleset], golden: Callable[[str, str], None]) -> None:
    golden(f"{make.__name__}.nft", render(make()))


def test_a_ruleset_without_redirects_has_no_tables_but_forgets_old_ones() -> None:
    empty = Ruleset(name="hairpin", redirects=(), engine_bridges=("docker0",))
    assert tables(empty) == ()
    assert render(empty) == render_removal("hairpin")


def test_the_number_of_rules_does_not_grow_with_the_ports() -> None:
    many = tuple(redirect(port=port, to_port=port) for port in range(1, 1001))
    (table,) = tables(Ruleset(name="hairpin", redirects=many, engine_bridges=("docker0",)))
    (few,) = tables(hairpin())
    assert [chain.rules for chain in table.chains] == [chain.rules for chain in few.chains]


def test_the_number_of_rules_does_not_grow_with_the_pairs() -> None:
    many = tuple(pair(server_port=port) for port in range(1, 1001))
    (table,) = tables(Ruleset(name="notrack", untracked=many))
    assert [len(chain.rules) for chain in table.chains] == [2, 1]
    assert [len(item.elements) for item in table.sets] == [1000]


def test_a_pair_of_one_bridge_is_not_looked_for_on_another() -> None:
    (table,) = tables(Ruleset(name="notrack", untracked=(pair(bridge="br-b"), pair(bridge="br-a", server="other"))))
    first, second, hooked = table.chains
    assert [rule.partition(" comment")[0] for rule in hooked.rules] == [
        'iifname "br-a" jump bridge_1',
        'iifname "br-b" jump bridge_2',
    ]
    assert all("@pairs_1 " in rule for rule in first.rules) and all("@pairs_2 " in rule for rule in second.rules)
    assert {item.name: item.elements[0].rpartition(":")[2] for item in table.sets} == {
        "pairs_1": 'other"',
        "pairs_2": 'dev1-api-1"',
    }


def test_a_port_of_two_containers_address_is_one_target() -> None:
    both = (redirect(port=5001), redirect(port=6001))
    (table,) = tables(Ruleset(name="hairpin", redirects=both, engine_bridges=()))
    targets = next(item for item in table.sets if item.name == "own_targets")
    assert targets.elements == ("tcp . 172.17.0.2 . 8080",)


NFT_RECORDS = sorted((Path(__file__).parent / "data").glob("nft-*.json.gz"))

# What nft 1.0.6 printed for a part of such a table, with a foreign rule in it.
LISTED: list[dict[str, Any]] = json.loads("""[
 {"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}},
 {"table": {"family": "ip", "name": "remedy_hairpin", "handle": 2}},
 {"map": {"family": "ip", "name": "own_bridge", "table": "remedy_hairpin",
  "type": ["ifname", "inet_proto", "inet_service"], "handle": 5, "map": "ipv4_addr . inet_service",
  "elem": [[{"elem": {"val": {"concat": ["docker0", "tcp", 5001]}, "comment": "remedy:dev1-api-1"}},
            {"concat": ["172.17.0.2", 8080]}]]}},
 {"set": {"family": "ip", "name": "own_subnets", "table": "remedy_hairpin", "type": ["ifname", "ipv4_addr"],
  "handle": 7, "flags": ["interval"],
  "elem": [{"concat": ["docker0", {"prefix": {"addr": "172.17.0.0", "len": 16}}]}]}},
 {"chain": {"family": "ip", "table": "remedy_hairpin", "name": "prerouting", "handle": 1, "type": "nat",
  "hook": "prerouting", "prio": -105, "policy": "accept"}},
 {"rule": {"family": "ip", "table": "remedy_hairpin", "chain": "prerouting", "handle": 9,
  "comment": "remedy:never-loopback", "expr": [
   {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}},
              "right": {"prefix": {"addr": "127.0.0.0", "len": 8}}}}, {"return": null}]}},
 {"rule": {"family": "ip", "table": "remedy_hairpin", "chain": "prerouting", "handle": 10,
  "comment": "remedy:not-for-this-host", "expr": [
   {"match": {"op": "!=", "left": {"fib": {"result": "type", "flags": ["daddr"]}}, "right": "local"}},
   {"return": null}]}},
 {"rule": {"family": "ip", "table": "remedy_hairpin", "chain": "prerouting", "handle": 12,
  "comment": "remedy:own-bridge", "expr": [
   {"dnat": {"family": "ip", "addr": {"map": {"key": {"concat": [{"meta": {"key": "iifname"}},
     {"meta": {"key": "l4proto"}}, {"payload": {"protocol": "th", "field": "dport"}}]}, "data": "@own_bridge"}}}}]}},
 {"rule": {"family": "ip", "table": "remedy_hairpin", "chain": "prerouting", "handle": 13, "expr": [
   {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": 6}},
   {"log": {"prefix": "mine"}}]}}
]""")

# The same, as other versions or hosts may write it.
VARIATIONS: dict[str, tuple[str, str]] = {
    "types as text": ('["ifname", "inet_proto", "inet_service"]', '"ifname . inet_proto . inet_service"'),
    "data type as an array": ('"ipv4_addr . inet_service"', '["ipv4_addr", "inet_service"]'),
    "a single flag as text": ('"flags": ["interval"]', '"flags": "interval"'),
    "fib's single flag as text": ('"flags": ["daddr"]', '"flags": "daddr"'),
    "protocols by number": ('"tcp", 5001', "6, 5001"),
    "without the version": ('{"metainfo"', '{"ignored"'),
}


def read(entries: object) -> NftTable:
    return read_tables(entries)[0]  # type: ignore[arg-type]


def test_what_nft_lists_reads_as_the_text_that_remedy_writes() -> None:
    table = read(LISTED)
    assert table.title == "ip remedy_hairpin"
    own_bridge, subnets = table.sets
    assert own_bridge.elements == ('"docker0" . tcp . 5001 comment "remedy:dev1-api-1" : 172.17.0.2 . 8080',)
    assert (subnets.elements, subnets.flags) == (('"docker0" . 172.17.0.0/16',), ("interval",))
    (wanted,) = tables(Ruleset(name="hairpin", redirects=(redirect(),), engine_bridges=()))
    chain = next(chain for chain in wanted.chains if chain.name == "prerouting")
    (present,) = table.chains
    assert present.rules[:3] == chain.rules
    assert replace(present, rules=()) == replace(chain, rules=())


def test_a_foreign_rule_is_shown_whatever_it_uses() -> None:
    assert read(LISTED).chains[0].rules[3] == 'meta l4proto tcp {"log":{"prefix":"mine"}}'


@pytest.mark.parametrize("variation", VARIATIONS.values(), ids=VARIATIONS.keys())
def test_nft_versions_read_alike(variation: tuple[str, str]) -> None:
    text = json.dumps(LISTED)
    assert variation[0] in text
    assert read(json.loads(text.replace(*variation))) == read(LISTED)


def test_objects_that_remedy_never_makes_are_noticed() -> None:
    counter = {"counter": {"family": "ip", "table": "remedy_hairpin", "name": "mine", "packets": 1}}
    table = read(LISTED)
    assert differences([table], [read([*LISTED, counter])]) == ("table ip remedy_hairpin, set mine is not remedy's",)


def test_the_wanted_tables_differ_from_themselves_in_nothing() -> None:
    assert differences(tables(bridging()), tables(bridging())) == ()


def test_every_kind_of_difference_is_told() -> None:
    wanted = read(LISTED)
    assert differences([wanted], []) == ("table ip remedy_hairpin is missing",)
    assert differences([], [wanted]) == ("table ip remedy_hairpin should not exist",)
    (chain,) = wanted.chains
    turned = replace(wanted, chains=(replace(chain, rules=chain.rules[::-1]),))
    assert differences([wanted], [turned]) == (
        "table ip remedy_hairpin, chain prerouting: the rules are in another order",
    )
    moved = replace(wanted, chains=(replace(chain, priority=0),))
    assert differences([wanted], [moved]) == ("table ip remedy_hairpin, chain prerouting: its declaration was changed",)
    shorter = replace(wanted, chains=(replace(chain, rules=chain.rules[:3]),), sets=wanted.sets[:1])
    assert differences([shorter], [wanted]) == (
        "table ip remedy_hairpin, set own_subnets is not remedy's",
        f"table ip remedy_hairpin, chain prerouting: rule is not remedy's: {chain.rules[3]}",
    )
    other = replace(wanted.sets[0], elements=("x",))
    assert differences([replace(wanted, sets=(other, wanted.sets[1]))], [wanted]) == (
        "table ip remedy_hairpin, set own_bridge: element is missing: x",
        f"table ip remedy_hairpin, set own_bridge: element is not remedy's: {wanted.sets[0].elements[0]}",
    )


@pytest.mark.parametrize("record", NFT_RECORDS, ids=lambda path: path.name.removesuffix(".json.gz"))
def test_what_real_versions_of_nft_list_is_what_was_written(record: Path) -> None:
    """Recorded by `nft -j list table` of Debian 12, 13 and testing after the ruleset was written there."""
    recorded = json.loads(gzip.decompress(record.read_bytes()))
    assert differences(tables(Ruleset.model_validate(recorded["ruleset"])), read_tables(recorded["nftables"])) == ()
