"""ipset's sets, and the rules that ask for them."""

from __future__ import annotations

import pytest
from netfilter_samples import is_dropped, packet

from remedy.facts.ipsets import parse_ipsets
from remedy.netfilter.evaluate import Undecided
from remedy.netfilter.from_iptables import tables_from_iptables
from remedy.netfilter.ipset import known_sets
from remedy.netfilter.rules import RuleTable

SAVED = """\
create blocked hash:net family inet hashsize 1024 maxelem 65536
add blocked 10.98.0.0/24
add blocked 10.97.0.1
create services hash:ip,port family inet hashsize 1024 maxelem 65536 timeout 60
add services 172.17.0.2,tcp:8080 timeout 3
add services 172.17.0.3,udp:53
create ports bitmap:port range 0-65535
add ports 8000-8100
create odd hash:net,iface family inet hashsize 1024 maxelem 65536
add odd 10.98.0.0/24,eth0
create holes hash:net family inet hashsize 1024 maxelem 65536
add holes 10.98.0.0/16
add holes 10.98.0.254 nomatch
"""


def tables(conditions: str) -> tuple[RuleTable, ...]:
    text = f"*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD {conditions} -j DROP\nCOMMIT\n"
    return tables_from_iptables(text, 4, "nft", known_sets(parse_ipsets(SAVED).values()))


@pytest.mark.parametrize(
    ("conditions", "fulfils", "fails"),
    [
        ("-m set --match-set blocked src", {}, {"source": "10.97.0.2"}),
        ("-m set --match-set blocked dst", {"destination": "10.97.0.1"}, {}),
        ("-m set ! --match-set blocked src", {"source": "10.97.0.2"}, {}),
        ("-m set --match-set services dst,dst", {}, {"protocol": "udp"}),
        ("-m set --match-set services dst,dst", {}, {"dport": 53}),
        ("-m set --match-set services src,dst", {"source": "172.17.0.2"}, {}),
        ("-m set --match-set ports dst", {"protocol": "udp"}, {"dport": 8101}),
    ],
)
def test_a_set_is_looked_up_by_the_directions_that_the_rule_names(
    conditions: str, fulfils: dict[str, object], fails: dict[str, object]
) -> None:
    assert is_dropped(tables(conditions), packet(**fulfils))
    assert not is_dropped(tables(conditions), packet(**fails))


@pytest.mark.parametrize("name", ["odd", "holes", "absent"])
def test_a_set_that_is_not_known_leaves_its_rule_undecided(name: str) -> None:
    with pytest.raises(Undecided) as raised:
        is_dropped(tables(f"-m set --match-set {name} src"), packet())
    assert name in raised.value.rule.text
