"""All tables together: order, conntrack's sleep, the index."""

from __future__ import annotations

import random

import pytest
from netfilter_samples import Surroundings, iptables, is_dropped, nft, packet, run

from remedy.netfilter.evaluate import Firewall
from remedy.netfilter.index import IndexedChain
from remedy.netfilter.needs import needs_conntrack
from remedy.netfilter.packet import CtState, Packet
from remedy.netfilter.rules import Hook, Rule


def test_an_accept_in_one_table_does_not_undo_a_drop_in_another() -> None:
    tables = (*iptables("-A FORWARD -j ACCEPT"), nft([{"drop": None}]))
    assert is_dropped(tables, packet())


def test_of_two_nat_tables_of_one_priority_the_first_given_translates() -> None:
    own = nft([{"dnat": {"addr": "172.17.0.8", "port": 80}}], hook="prerouting", kind="nat")
    engines = iptables("-A PREROUTING -p tcp -j DNAT --to-destination 172.17.0.9:80", table="nat")
    for tables, address in (((own, *engines), "172.17.0.8"), ((*engines, own), "172.17.0.9")):
        found = run(tables, packet(), Hook.PREROUTING, translates=True).translation
        assert found is not None
        assert str(found.address) == address


@pytest.mark.parametrize(
    ("rule", "table", "expected"),
    [
        ("-A FORWARD -p tcp -j ACCEPT", "filter", False),
        ("-A PREROUTING -j sub", "nat", False),
        ("-A FORWARD -m conntrack --ctstate NEW -j ACCEPT", "filter", True),
        ("-A POSTROUTING -j MASQUERADE", "nat", True),
        ("-A PREROUTING -m connmark --mark 1 -j ACCEPT", "mangle", True),
        ("-A PREROUTING -j CONNMARK --save-mark", "mangle", True),
        ("-A PREROUTING -j MARK --set-xmark 0x1", "mangle", False),
        ("-A PREROUTING -j CT --notrack", "raw", True),
    ],
)
def test_conntrack_sleeps_until_a_rule_needs_it(rule: str, table: str, expected: bool) -> None:
    tables = iptables(rule, "-A sub -j RETURN", table=table)
    assert any(map(needs_conntrack, tables)) is expected
    assert Firewall(tables, Surroundings()).tracks(4) is expected
    assert not Firewall(tables, Surroundings()).tracks(6)


def test_a_chain_that_jumps_in_a_circle_ends() -> None:
    assert is_dropped(iptables("-A FORWARD -j a", "-A a -j b", "-A b -j a"), packet())


CONDITIONS = [
    *(f"-s 10.98.0.{n}/32" for n in range(6)),
    *(f"-s 10.98.0.{n}/30" for n in (0, 4, 8)),
    *(f"-d 172.17.0.{n}/32 -p tcp -m tcp --dport {p}" for n in range(4) for p in (80, 81)),
    *(f"-i eth{n}" for n in range(3)),
    *("! -i eth0", "-o docker+", "-p tcp -m tcp --dport 80:83", "-p tcp -m multiport --dports 80,82,90:95"),
    *("-m conntrack --ctstate NEW", "-p udp", "-m mark --mark 0x1/0x1", "! -s 10.98.0.0/29"),
]


def test_the_index_leaves_out_only_rules_that_cannot_match() -> None:
    chance = random.Random(7)
    rules = [f"-A FORWARD {chance.choice(CONDITIONS)} {chance.choice(CONDITIONS[-8:])} -j ACCEPT" for _ in range(300)]
    chain = iptables(*rules)[0].chains["FORWARD"]
    indexed, host = IndexedChain(chain), Surroundings()
    for _ in range(300):
        sent = packet(
            source=f"10.98.0.{chance.randrange(12)}",
            destination=f"172.17.0.{chance.randrange(5)}",
            dport=chance.randrange(78, 97),
            in_interface=f"eth{chance.randrange(4)}",
            mark=chance.randrange(2),
            state=chance.choice([CtState.NEW, CtState.ESTABLISHED]),
        )
        assert _matching(indexed.candidates(sent, host), sent) == _matching(chain.rules, sent)


def _matching(rules: object, sent: Packet) -> list[str]:
    found: list[Rule] = [rule for rule in rules if all(m.matches(sent, Surroundings()) for m in rule.matches)]  # type: ignore[attr-defined]
    return [rule.place for rule in found]
