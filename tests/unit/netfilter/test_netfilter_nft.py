"""nft's expressions, from their JSON to what becomes of a packet."""

from __future__ import annotations

from typing import Any

import pytest
from netfilter_samples import is_dropped, nft, packet, run

from remedy.netfilter.evaluate import Undecided
from remedy.netfilter.from_nft import table_from_nft
from remedy.netfilter.packet import CtState
from remedy.netfilter.rules import Hook

DROP: dict[str, Any] = {"drop": None}
ESTABLISHED = {"state": CtState.ESTABLISHED}


def match(left: object, right: object, op: str = "==") -> dict[str, Any]:
    return {"match": {"left": left, "op": op, "right": right}}


def field(protocol: str, name: str) -> dict[str, Any]:
    return {"payload": {"protocol": protocol, "field": name}}


def meta(key: str) -> dict[str, Any]:
    return {"meta": {"key": key}}


def ct(key: str, **more: str) -> dict[str, Any]:
    return {"ct": {"key": key, **more}}


NETWORK = {"prefix": {"addr": "10.98.0.0", "len": 24}}
SYN_OR_RST = {"&": [field("tcp", "flags"), {"|": ["syn", "rst"]}]}
ACK = {"tcp_flags": frozenset({"ACK"})}

TYPE = {"fib": {"flags": ["daddr"], "result": "type"}}
SIX = {"source": "::1", "destination": "::2"}
MATCHES = [
    ("ip saddr", match(field("ip", "saddr"), NETWORK), {}, {"source": "10.99.0.1"}),
    (
        "ip saddr of IPv6",
        match(field("ip", "saddr"), "0.0.0.1"),
        {"source": "0.0.0.1"},
        SIX,
    ),
    ("ip6 daddr", match(field("ip6", "daddr"), "::2"), SIX, {}),
    ("tcp dport set", match(field("tcp", "dport"), {"set": [80, {"range": [8000, 8100]}]}), {}, {"dport": 81}),
    ("tcp dport <", match(field("tcp", "dport"), 8081, "<"), {}, {"dport": 8081}),
    ("th dport", match(field("th", "dport"), 8080), {"protocol": "udp"}, {"protocol": "udp", "dport": 1}),
    ("udp dport of tcp", match(field("udp", "dport"), 8080), {"protocol": "udp"}, {}),
    ("iifname", match(meta("iifname"), "eth0"), {}, {"in_interface": "eth1"}),
    ("iifname wildcard", match(meta("iifname"), "br-*"), {"in_interface": "br-1"}, {}),
    ("iif index", match(meta("iif"), 2), {}, {"in_interface": "eth1"}),
    ("oifname set", match(meta("oifname"), {"set": ["docker0", "br-*"]}), {}, {"out_interface": "eth0"}),
    ("l4proto", match(meta("l4proto"), {"set": ["udp", 132]}), {"protocol": "udp"}, {}),
    ("nfproto", match(meta("nfproto"), "ipv6"), SIX, {}),
    ("protocol", match(meta("protocol"), "ip"), {}, SIX),
    ("mark masked", match({"&": [meta("mark"), 0xF0]}, 0x10), {"mark": 0x1F}, {"mark": 0x20}),
    ("ct mark", match(ct("mark"), 1), {"ct_mark": 1}, {}),
    ("ct state", match(ct("state"), ["established", "related"], "in"), ESTABLISHED, {}),
    ("ct state set", match(ct("state"), {"set": ["established", "related"]}), ESTABLISHED, {}),
    ("ct status dnat", match(ct("status"), "dnat", "in"), {"is_dnated": True}, {}),
    ("ct direction", match(ct("direction"), "reply"), {"is_reply": True}, {}),
    ("ct original proto-dst", match(ct("proto-dst", dir="original"), 8080), {}, {"dport": 1}),
    ("ct original ip daddr", match(ct("ip daddr", dir="original"), "172.17.0.2"), {}, {"destination": "172.17.0.3"}),
    (
        "fib daddr type",
        match({"fib": {"flags": ["daddr"], "result": "type"}}, "local"),
        {"destination": "10.98.0.10"},
        {},
    ),
    (
        "fib saddr . iif oif missing",
        match({"fib": {"flags": ["saddr", "iif"], "result": "oif"}}, False),
        {"in_interface": "eth1"},
        {},
    ),
    (
        "concatenation",
        match(
            {"concat": [field("ip", "daddr"), field("tcp", "dport")]},
            {"set": [{"concat": ["172.17.0.2", 8080]}, {"concat": ["172.17.0.3", 81]}]},
        ),
        {},
        {"dport": 81},
    ),
    ("tcp flags syn", match(field("tcp", "flags"), "syn", "in"), {}, ACK),
    ("tcp flags & (syn|rst) == syn", match(SYN_OR_RST, "syn"), {}, ACK),
    ("tcp flags != mask", match(SYN_OR_RST, "syn", "!="), ACK, {}),
]


@pytest.mark.parametrize(("condition", "fulfils", "fails"), [m[1:] for m in MATCHES], ids=[m[0] for m in MATCHES])
def test_a_rule_meets_the_packets_that_its_conditions_name(
    condition: dict[str, Any], fulfils: dict[str, object], fails: dict[str, object]
) -> None:
    table = nft([condition, DROP])
    assert is_dropped((table,), packet(**fulfils))
    assert not is_dropped((table,), packet(**fails))


def test_conditions_behind_a_statement_count_for_what_follows_only() -> None:
    rule = [match(meta("iifname"), "eth0"), {"counter": None}, match(field("tcp", "dport"), 81), DROP]
    assert not is_dropped((nft(rule),), packet())
    assert is_dropped((nft(rule),), packet(dport=81))


@pytest.mark.parametrize("states", [["established", "accept"], ["new", "drop"]])
def test_a_map_of_states_decides(states: list[str]) -> None:
    rule = [{"vmap": {"key": ct("state"), "data": {"set": [[states[0], {states[1]: None}], ["invalid", DROP]]}}}]
    assert is_dropped((nft(rule, [DROP]),), packet())
    assert is_dropped((nft(rule),), packet()) == (states == ["new", "drop"])


def test_named_sets_and_verdict_maps_of_the_table_are_looked_up() -> None:
    sets = (
        {"set": {"name": "s", "table": "t", "elem": [NETWORK, {"elem": {"val": "10.1.1.1", "timeout": 9}}]}},
        {"map": {"name": "m", "table": "t", "elem": [[8080, {"jump": {"target": "sub"}}], [81, DROP]]}},
        {"chain": {"name": "sub", "table": "t"}},
        {"rule": {"chain": "sub", "table": "t", "expr": [match(field("ip", "saddr"), "@s"), DROP]}},
    )
    table = nft([{"vmap": {"key": field("tcp", "dport"), "data": "@m"}}], more=sets)
    assert is_dropped((table,), packet())
    assert is_dropped((table,), packet(dport=81))
    assert is_dropped((table,), packet(source="10.1.1.1"))
    assert not is_dropped((table,), packet(source="10.2.2.2"))
    assert not is_dropped((table,), packet(dport=82))


def test_destinations_come_from_maps() -> None:
    data = {"set": [[8080, {"concat": ["172.17.0.9", 80]}]]}
    rule = [{"dnat": {"family": "ip", "addr": {"map": {"key": field("tcp", "dport"), "data": data}}}}]
    table = nft(rule, hook="prerouting", kind="nat")
    found = run((table,), packet(), Hook.PREROUTING, translates=True).translation
    assert found is not None
    assert (str(found.address), found.port) == ("172.17.0.9", 80)
    assert run((table,), packet(dport=81), Hook.PREROUTING, translates=True).translation is None


@pytest.mark.parametrize(
    ("reject", "answer"),
    [
        (None, "icmp-port-unreachable"),
        ({"type": "tcp reset"}, "tcp-reset"),
        ({"type": "icmpx", "expr": "admin-prohibited"}, "icmp-admin-prohibited"),
    ],
)
def test_refusals_say_what_the_sender_is_told(reject: object, answer: str) -> None:
    assert run((nft([{"reject": reject}]),), packet()).refusal == answer


def test_marks_are_set_masked_and_copied() -> None:
    rules = [
        [{"mangle": {"key": meta("mark"), "value": 0x22}}],
        [{"mangle": {"key": meta("mark"), "value": {"|": [meta("mark"), 1]}}}],
        [{"mangle": {"key": ct("mark"), "value": meta("mark")}}],
    ]
    outcome = run((nft(*rules),), packet())
    assert (outcome.packet.mark, outcome.packet.ct_mark) == (0x23, 0x23)


@pytest.mark.parametrize(
    "statement",
    [
        {"mangle": {"key": {"tcp option": {"name": "maxseg", "field": "size"}}, "value": {"rt": {"key": "mtu"}}}},
        {"mangle": {"key": meta("priority"), "value": 1}},
        {"mangle": {"key": field("ip", "dscp"), "value": 1}},
        {"log": {"prefix": "x"}},
        {"counter": {"packets": 0, "bytes": 0}},
        {"last": None},
    ],
)
def test_what_changes_no_decision_is_passed_over(statement: dict[str, Any]) -> None:
    assert not is_dropped((nft([statement]),), packet())


@pytest.mark.parametrize(
    "expression",
    [{"queue": {"num": 1}}, {"tproxy": {"port": 1}}, match({"osf": {"key": "name"}}, "Linux"), {"xt": None}],
)
def test_what_is_not_known_is_quoted_where_it_decides(expression: dict[str, Any]) -> None:
    word = next(word for word in ("queue", "tproxy", "osf", "xt") if word in str(expression))
    with pytest.raises(Undecided) as raised:
        run((nft([expression, DROP]),), packet())
    assert word in raised.value.rule.text
    assert raised.value.rule.place == "nft inet t c 1"


@pytest.mark.parametrize(
    "chance", [{"limit": {"rate": 1, "per": "minute"}}, match(meta("skuid"), 0), {"ct count": {"val": 3}}]
)
def test_chance_decides_only_where_both_ways_differ(chance: dict[str, Any]) -> None:
    assert is_dropped((nft([chance, DROP], [DROP]),), packet())
    with pytest.raises(Undecided):
        run((nft([chance, DROP]),), packet())


def test_tables_of_other_layers_are_none_of_these() -> None:
    assert table_from_nft("bridge t", [], {}) is None
    assert table_from_nft("netdev t", [], {}) is None
