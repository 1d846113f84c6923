"""iptables' matches and targets, from their text to what becomes of a packet."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from netfilter_samples import iptables, is_dropped, packet, run

from remedy.netfilter.evaluate import Undecided
from remedy.netfilter.packet import CtState
from remedy.netfilter.rules import Hook

ESTABLISHED = {"state": CtState.ESTABLISHED}

# The rule's conditions, a packet that fulfils them, and one that does not.
MATCHES = [
    ("-p tcp", {}, {"protocol": "udp"}),
    ("! -p tcp", {"protocol": "udp"}, {}),
    ("-p 17", {"protocol": "udp"}, {}),
    ("-s 10.98.0.0/24", {}, {"source": "10.99.0.1"}),
    ("! -s 10.98.0.0/24", {"source": "10.99.0.1"}, {}),
    ("-d 172.17.0.2/32", {}, {"destination": "172.17.0.3"}),
    ("-i eth0", {}, {"in_interface": "eth1"}),
    ("-i eth+", {"in_interface": "eth1"}, {"in_interface": "lo"}),
    ("! -i eth0", {"in_interface": "eth1"}, {}),
    ("-o docker0", {}, {"out_interface": "br-1"}),
    ("! -f", {}, {"source": "10.98.0.254", "protocol": "never"}),
    ("-p tcp -m tcp --dport 8080", {}, {"dport": 8081}),
    ("-p tcp -m tcp --dport 8000:8100", {}, {"dport": 8101}),
    ("-p tcp -m tcp ! --dport 8080", {"dport": 1}, {}),
    ("-p tcp -m tcp --sport 45000", {}, {"sport": 1}),
    ("-p udp -m udp --dport 53", {"protocol": "udp", "dport": 53}, {"protocol": "udp", "dport": 54}),
    ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", {}, {"tcp_flags": frozenset({"SYN", "ACK"})}),
    ("-p tcp -m tcp --syn", {}, {"tcp_flags": frozenset({"ACK"})}),
    ("-p tcp -m multiport --dports 80,8080:8090", {}, {"dport": 81}),
    ("-p tcp -m multiport ! --dports 80,443", {}, {"dport": 443}),
    ("-p tcp -m multiport --sports 45000", {}, {"sport": 1}),
    ("-m conntrack --ctstate NEW", {}, ESTABLISHED),
    ("-m conntrack --ctstate RELATED,ESTABLISHED", ESTABLISHED, {}),
    ("-m state --state INVALID", {"state": CtState.INVALID}, {}),
    ("-m conntrack --ctstate DNAT", {"is_dnated": True}, {}),
    ("-m conntrack --ctstate SNAT", {"is_snated": True}, {}),
    ("-m conntrack ! --ctstate NEW", ESTABLISHED, {}),
    ("-m conntrack --ctdir REPLY", {"is_reply": True}, {}),
    ("-m conntrack --ctorigdstport 8080", {}, {"dport": 1}),
    ("-m conntrack --ctorigsrc 10.98.0.0/24", {}, {"source": "10.99.0.1"}),
    ("-m conntrack --ctproto 6", {}, {"protocol": "udp"}),
    ("-m addrtype --dst-type LOCAL", {"destination": "10.98.0.10"}, {}),
    ("-m addrtype --src-type LOCAL", {"source": "10.98.0.10"}, {}),
    ("-m addrtype ! --dst-type LOCAL", {}, {"destination": "10.98.0.10"}),
    ("-m mark --mark 0x10/0xf0", {"mark": 0x1F}, {"mark": 0x20}),
    ("-m mark ! --mark 0x1", {}, {"mark": 1}),
    ("-m connmark --mark 0x1", {"ct_mark": 1}, {}),
    ("-m physdev --physdev-in veth1", {"in_port": "veth1"}, {"in_port": "veth2"}),
    ("-m physdev --physdev-is-bridged", {"in_port": "veth1", "out_port": "veth2"}, {"in_port": "veth1"}),
    ("-m iprange --src-range 10.98.0.250-10.98.0.255", {}, {"source": "10.98.0.1"}),
    ("-m iprange --dst-range 172.17.0.2-172.17.0.2", {}, {"destination": "172.17.0.3"}),
    ("-m rpfilter --invert", {"in_interface": "eth1"}, {}),
    ("-m rpfilter --loose", {"in_interface": "eth1"}, {"protocol": "never", "in_interface": "eth1"}),
    ('-m comment --comment "-d 9.9.9.9 -j ACCEPT"', {}, {"protocol": "never"}),
]


@pytest.mark.parametrize(("conditions", "fulfils", "fails"), MATCHES, ids=[match[0] for match in MATCHES])
def test_a_rule_meets_the_packets_that_its_conditions_name(
    conditions: str, fulfils: dict[str, object], fails: dict[str, object]
) -> None:
    tables = iptables(f"-A FORWARD {conditions} -j DROP")
    assert is_dropped(tables, packet(**fulfils))
    if fails.get("protocol") != "never":
        assert not is_dropped(tables, packet(**fails))


def test_icmp_rules_meet_no_connection() -> None:
    assert not is_dropped(iptables("-A FORWARD -p icmp -m icmp --icmp-type 8 -j DROP"), packet())


@pytest.mark.parametrize("unknown", ["-m geoip --source-country XX", "-m ipvs --vaddr 1.2.3.4"])
def test_an_unknown_condition_is_quoted_where_it_decides(unknown: str) -> None:
    with pytest.raises(Undecided) as raised:
        run(iptables(f"-A FORWARD {unknown} -j DROP"), packet())
    assert unknown in raised.value.rule.text
    assert raised.value.rule.place == "iptables filter FORWARD 1"


def test_an_unknown_condition_does_not_matter_where_both_ways_lead_to_the_same() -> None:
    tables = iptables("-A FORWARD -m geoip --source-country XX -j DROP", "-A FORWARD -j DROP")
    assert is_dropped(tables, packet())
    assert not is_dropped(iptables("-A FORWARD -m limit --limit 1/min -j ACCEPT"), packet())


def test_an_unknown_target_is_undecided_only_for_packets_that_reach_it() -> None:
    tables = iptables("-A FORWARD -p tcp -m tcp --dport 81 -j NFQUEUE --queue-num 1")
    assert not is_dropped(tables, packet())
    with pytest.raises(Undecided, match="NFQUEUE"):
        run(tables, packet(dport=81))


def test_log_and_its_like_change_nothing() -> None:
    assert not is_dropped(iptables('-A FORWARD -j LOG --log-prefix "x -j DROP"', "-A FORWARD -j ACCEPT"), packet())


def test_a_jump_comes_back_and_a_goto_does_not() -> None:
    chains = ("-A sub -p udp -j ACCEPT", "-A FORWARD -j DROP")
    assert is_dropped(iptables("-A FORWARD -j sub", *chains), packet())
    assert not is_dropped(iptables("-A FORWARD -g sub", *chains), packet())


def test_return_in_a_base_chain_means_its_policy() -> None:
    assert is_dropped(iptables("-A FORWARD -j RETURN", "-A FORWARD -j ACCEPT", policy="DROP"), packet())
    assert not is_dropped(iptables("-A FORWARD -j sub", "-A sub -j RETURN", "-A sub -j DROP"), packet())


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("REJECT", "icmp-port-unreachable"),
        ("REJECT --reject-with tcp-reset", "tcp-reset"),
        ("REJECT --reject-with icmp-host-prohibited", "icmp-host-prohibited"),
        ("DROP", ""),
    ],
)
def test_refusals_say_what_the_sender_is_told(target: str, answer: str) -> None:
    assert run(iptables(f"-A FORWARD -j {target}"), packet()).refusal == answer


def test_ip6tables_rejects_in_its_own_words() -> None:
    six = packet(source="fd00::1", destination="fd00::2")
    assert run(iptables("-A FORWARD -j REJECT", family=6), six).refusal == "icmp6-port-unreachable"


def test_marks_are_set_and_handed_on() -> None:
    tables = iptables(
        "-A PREROUTING -j MARK --set-xmark 0x10/0xf0",
        "-A PREROUTING -j MARK --or-mark 0x1",
        "-A PREROUTING -j CONNMARK --save-mark",
        table="mangle",
    )
    outcome = run(tables, packet(mark=0x22), Hook.PREROUTING)
    assert (outcome.packet.mark, outcome.packet.ct_mark) == (0x13, 0x13)


def test_notrack_leaves_the_packet_untracked_and_untranslated() -> None:
    raw = iptables("-A PREROUTING -p tcp -j CT --notrack", table="raw")
    nat = iptables("-A PREROUTING -j DNAT --to-destination 172.17.0.9:80", table="nat")
    outcome = run((*raw, *nat), packet(), Hook.PREROUTING, translates=True)
    assert outcome.notrack
    assert outcome.translation is None
    assert outcome.packet.state is CtState.UNTRACKED


@pytest.mark.parametrize(
    ("target", "kind", "address", "port"),
    [
        ("DNAT --to-destination 172.17.0.9:80", "dnat", "172.17.0.9", 80),
        ("DNAT --to-destination :81", "dnat", None, 81),
        ("REDIRECT --to-ports 7003", "redirect", None, 7003),
    ],
)
def test_destinations_are_translated(target: str, kind: str, address: str | None, port: int) -> None:
    tables = iptables(f"-A PREROUTING -p tcp -j {target}", table="nat")
    found = run(tables, packet(), Hook.PREROUTING, translates=True).translation
    assert found is not None
    assert (found.kind, found.address, found.port) == (kind, address and ip_address(address), port)


def test_the_first_translation_counts_and_an_answer_is_not_asked() -> None:
    tables = iptables("-A POSTROUTING -j SNAT --to-source 10.0.0.1", "-A POSTROUTING -j MASQUERADE", table="nat")
    found = run(tables, packet(), Hook.POSTROUTING, translates=True).translation
    assert found is not None
    assert (found.kind, str(found.address)) == ("snat", "10.0.0.1")
    assert run(tables, packet(), Hook.POSTROUTING).translation is None


def test_a_range_of_targets_cannot_be_told() -> None:
    tables = iptables("-A PREROUTING -p tcp -j DNAT --to-destination 172.17.0.2-172.17.0.9", table="nat")
    with pytest.raises(Undecided, match="any address or port"):
        run(tables, packet(), Hook.PREROUTING, translates=True)
