"""A quoted rule reads as `nft list ruleset` prints it, so that it is found again on the host."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from remedy.captures.facts import load_capture
from remedy.captures.files import CaptureFiles, find_captures, read_capture
from remedy.netfilter.nft_words import item_words, rule_words
from remedy.paths.rules_of_host import rule_tables

CAPTURES = [path for path in find_captures(Path(__file__).parents[2] / "captures") if "-nftables-" in path.name]
COUNTER = re.compile(r"(^| )counter packets \d+ bytes \d+")


def listed(files: CaptureFiles) -> set[str]:
    return {COUNTER.sub("", line.strip()).strip() for line in files.text("nft.txt").splitlines()}


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name)
def test_every_rule_of_a_recorded_host_reads_as_nft_listed_it(path: Path) -> None:
    files = read_capture(path)
    tables = [table for table in rule_tables(load_capture(files)) if table.name.startswith("nft ")]
    rules = [rule.text for table in tables for chain in table.chains.values() for rule in chain.rules]

    assert len(rules) > 40
    assert set(rules) - listed(files) == set()


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"reject": {"type": "icmpx", "expr": "port-unreachable"}}, "reject with icmp port-unreachable"),
        ({"reject": None}, "reject"),
        ({"dnat": {"family": "ip6", "addr": "fd00::2", "port": 80}}, "dnat to [fd00::2]:80"),
        ({"goto": {"target": "chain"}}, "goto chain"),
        ({"redirect": {"port": 8080}}, "redirect to :8080"),
        (
            {"match": {"op": "!=", "left": {"meta": {"key": "iifname"}}, "right": {"set": ["a", "b"]}}},
            'iifname != { "a", "b" }',
        ),
        (
            {
                "match": {
                    "op": "==",
                    "left": {"payload": {"protocol": "tcp", "field": "dport"}},
                    "right": {"range": [1, 9]},
                }
            },
            "tcp dport 1-9",
        ),
        ({"flow": {"op": "add", "flowtable": "@f"}}, '{"flow":{"flowtable":"@f","op":"add"}}'),
        ("something", '"something"'),
    ],
)
def test_an_item_reads_as_nft_prints_it_and_what_has_no_words_stays_json(item: Any, words: str) -> None:
    assert item_words(item) == words


def test_the_comment_is_part_of_a_rule_and_the_counter_is_not() -> None:
    rule = {"expr": [{"counter": {"packets": 1, "bytes": 2}}, {"accept": None}], "comment": "mine"}

    assert rule_words(rule) == 'accept comment "mine"'
