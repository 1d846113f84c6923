"""Whole connections on a small host: sysctls, routes, bridge, rules, docker-proxy, and the way back."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from captured import facts
from path_samples import GATEWAY, LAN, ask, host, route, with_host_space, with_one_on_the_wire, with_routes, with_tables

from remedy.facts.model import HostFacts, InterfaceAddress, RoutingRule
from remedy.paths.clients import Clients, UnknownSourceError
from remedy.paths.topology import Topology
from remedy.paths.walk import Datapath
from remedy.spec.models import HostPort

ALL_OPEN = "*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n"
DIRECT = "172.20.0.2:8080"


def filtered(*rules: str) -> str:
    return "\n".join(
        ["*filter", ":INPUT ACCEPT [0:0]", ":FORWARD ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]", *rules, "COMMIT"]
    )


def test_from_outside_a_published_port_is_translated_and_the_source_kept() -> None:
    verdict = ask(host(), "external", f"{LAN}:20001")
    assert (verdict.reachable, verdict.via, verdict.by) == (True, "dnat", "c1")
    assert str(verdict.source_seen) == GATEWAY
    assert verdict.conntrack_entries == 1


def test_a_container_goes_through_docker_proxy_and_the_steps_say_so() -> None:
    verdict = ask(host(), "c0", "172.20.0.1:20001")
    assert (verdict.via, verdict.by, verdict.userspace_copies, verdict.conntrack_entries) == (
        "docker-proxy",
        "c1",
        1,
        2,
    )
    assert str(verdict.source_seen) == "172.20.0.1"
    assert any("docker-proxy" in str(step) and "200001" in str(step) for step in verdict.steps)


def test_the_same_question_gets_the_same_answer() -> None:
    datapath = Datapath(host())
    to = HostPort.parse(f"{LAN}:20001")
    assert datapath.connect("external", to) == datapath.connect("external", to)


def test_who_is_not_there_cannot_ask() -> None:
    with pytest.raises(UnknownSourceError, match="nobody"):
        ask(host(), "nobody", DIRECT)


@pytest.mark.parametrize(("setting", "value"), [("net.ipv4.conf.eth0.forwarding", "0"), ("net.ipv4.ip_forward", "0")])
def test_a_host_that_does_not_forward_is_silent_even_without_a_route(setting: str, value: str) -> None:
    facts = with_routes(host(rules=ALL_OPEN, sysctls={setting: value}), route("192.0.2.0/24", "unreachable"))
    for to in (DIRECT, "192.0.2.1:80"):
        assert ask(facts, "external", to, GATEWAY).failure == "no-answer"


@pytest.mark.parametrize(
    ("kind", "to", "failure"),
    [
        ("unreachable", "192.0.2.1:80", "unreachable"),
        ("prohibit", "192.0.2.1:80", "unreachable"),
        ("blackhole", "192.0.2.1:80", "no-answer"),
        ("unreachable", "192.0.2.1:80/udp", "no-answer"),  # no hard error: the datagram's sender does not hear of it
    ],
)
def test_a_client_elsewhere_hears_of_some_missing_routes(kind: str, to: str, failure: str) -> None:
    facts = with_routes(host(rules=ALL_OPEN), route("192.0.2.0/24", kind))
    assert ask(facts, "c0", to).failure == failure


def test_the_sender_itself_always_hears_of_a_missing_route() -> None:
    facts = with_routes(host(rules=ALL_OPEN), route("192.0.2.0/24", "blackhole"))
    assert ask(facts, "host", "192.0.2.1:80/udp").failure == "unreachable"


@pytest.mark.parametrize(
    ("answer", "to", "failure"),
    [
        ("icmp-port-unreachable", DIRECT, "refused"),
        ("tcp-reset", DIRECT, "refused"),
        ("icmp-host-prohibited", DIRECT, "unreachable"),
        ("icmp-host-unreachable", DIRECT, "unreachable"),
        ("icmp-host-unreachable", f"{DIRECT}/udp", "no-answer"),
        ("icmp-host-prohibited", f"{DIRECT}/udp", "unreachable"),
        ("icmp-port-unreachable", f"{DIRECT}/udp", "refused"),
    ],
)
def test_a_reject_tells_what_the_clients_socket_reports(answer: str, to: str, failure: str) -> None:
    rules = filtered(f"-A FORWARD -s 203.0.113.0/24 -j REJECT --reject-with {answer}")
    assert ask(host(rules=rules), "external", to).failure == failure


@pytest.mark.parametrize(("level", "reached"), [("0", True), ("1", False), ("2", True)])
def test_reverse_path_filter_asks_for_the_way_back(level: str, reached: bool) -> None:
    facts = host(rules=ALL_OPEN, sysctls={"net.ipv4.conf.all.rp_filter": level})
    askew = with_routes(facts, route("198.51.100.0/24", interface="eth1"))
    assert ask(askew, "external", DIRECT, "198.51.100.7", "eth0").reachable is reached
    assert ask(askew, "external", DIRECT, "198.51.100.7", "eth1").reachable is True


@pytest.mark.parametrize(("name", "expected"), [("br-net0", True), ("all", True), ("eth0", False)])
def test_loopback_leaves_the_host_only_with_route_localnet(name: str, expected: bool) -> None:
    nat = "*nat\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
    nat += "-A OUTPUT -p tcp --dport 5999 -j DNAT --to-destination 172.20.0.2:8080\n"
    nat += "-A POSTROUTING -o br-net0 -j MASQUERADE\nCOMMIT\n"
    facts = host(rules=nat, sysctls={f"net.ipv4.conf.{name}.route_localnet": "1"})
    verdict = ask(facts, "host", "127.0.0.1:5999")
    assert verdict.reachable is expected
    if expected:
        assert str(verdict.source_seen) == "172.20.0.1"


def test_an_answer_that_a_rule_drops_is_no_answer() -> None:
    rules = filtered("-A FORWARD -s 172.20.0.0/16 -o eth0 -j DROP")
    verdict = ask(host(rules=rules), "external", DIRECT)
    assert (verdict.reachable, verdict.failure) == (False, "no-answer")
    assert "-A FORWARD -s 172.20.0.0/16 -o eth0 -j DROP" in verdict.steps[-1].why


@pytest.mark.parametrize(("bridge_nf", "reached"), [("1", False), ("0", True)])
def test_rules_see_frames_of_a_bridge_only_with_bridge_nf(bridge_nf: str, reached: bool) -> None:
    rules = filtered("-A FORWARD -i br-net0 -o br-net0 -j DROP")
    facts = host(rules=rules, sysctls={"net.bridge.bridge-nf-call-iptables": bridge_nf})
    assert ask(facts, "c1", DIRECT).reachable is reached


@pytest.mark.parametrize("forwarding", ["1", "0"])
def test_a_translated_frame_stays_on_the_bridge_only_where_the_host_forwards(forwarding: str) -> None:
    nat = "*nat\n:PREROUTING ACCEPT [0:0]\n"
    nat += "-A PREROUTING -d 203.0.113.10 -p tcp --dport 5999 -j DNAT --to-destination 172.20.0.2:8080\nCOMMIT\n"
    facts = host(rules=nat, sysctls={"net.ipv4.conf.br-net0.forwarding": forwarding})
    assert ask(facts, "c1", f"{LAN}:5999").reachable is (forwarding == "1")


def test_isolated_ports_of_a_bridge_do_not_reach_each_other() -> None:
    facts = host(rules=ALL_OPEN)
    ports = tuple(port.model_copy(update={"isolated": True}) for port in facts.bridge_ports)
    assert ask(facts.model_copy(update={"bridge_ports": ports}), "c1", DIRECT).failure == "no-answer"


def _behind_a_refusing_rule(answer: str) -> HostFacts:
    return host(rules=filtered(f"-A OUTPUT -o br-net0 -p tcp --dport 8080 -j {answer}"))


@pytest.mark.parametrize(("target", "failure"), [("REJECT", "refused"), ("DROP", "no-answer")])
def test_behind_docker_proxy_a_refusal_closes_and_a_silence_lasts(target: str, failure: str) -> None:
    assert ask(_behind_a_refusing_rule(target), "c0", "172.20.0.1:20001").failure == failure


def test_an_isolated_networks_address_is_nobodys_outside() -> None:
    facts = host(rules=ALL_OPEN)
    away = facts.networks[0].model_copy(
        update={"id": "x", "name": "apart", "bridge": None, "subnets": ("172.30.3.0/24",)}
    )
    away = type(away).model_validate(away.model_dump())
    verdict = ask(facts.model_copy(update={"networks": (*facts.networks, away)}), "host", "172.30.3.2:80")
    assert verdict.failure == "no-answer"
    assert "apart" in verdict.steps[-1].what


def test_nothing_tracks_without_a_rule_that_needs_it() -> None:
    assert ask(host(rules=ALL_OPEN), "external", DIRECT).conntrack_entries == 0
    tracked = filtered("-A FORWARD -m conntrack --ctstate INVALID -j DROP")
    assert ask(host(rules=tracked), "external", DIRECT).conntrack_entries == 1


def test_an_undecided_rule_is_quoted_and_nothing_is_guessed() -> None:
    verdict = ask(host(rules=filtered("-A FORWARD -m geoip --source-country XX -j DROP")), "external", DIRECT)
    assert verdict.reachable is None
    assert "geoip" in (verdict.unknown_because or "")


def test_without_rules_or_listener_the_kernel_itself_refuses() -> None:
    facts = with_tables(with_host_space(host(), listening=()))
    assert ask(facts, "external", f"{LAN}:20001").failure == "refused"


DROP_ALL = filtered("-A FORWARD -j DROP", "-A INPUT -j DROP")
WIRED = "203.0.113.77"


def test_who_shares_an_interface_is_reached_from_outside_past_all_rules() -> None:
    facts = with_one_on_the_wire(host(3, rules=DROP_ALL), "c1", f"{WIRED}/24")
    verdict = ask(facts, "external", f"{WIRED}:8080")
    assert (verdict.reachable, verdict.by, verdict.conntrack_entries) == (True, "c1", 0)
    assert ask(facts, "c1", f"{GATEWAY}:443").by == "outside"


@pytest.mark.parametrize("source", ["host", "c0"])
def test_who_shares_an_interface_and_the_host_do_not_hear_each_other(source: str) -> None:
    facts = with_one_on_the_wire(host(3, rules=ALL_OPEN), "c1", f"{WIRED}/24")
    assert ask(facts, source, f"{WIRED}:8080").failure == "no-answer"
    assert ask(facts, "c1", f"{LAN}:20000").failure == "no-answer"


def test_two_who_share_an_interface_hear_each_other() -> None:
    facts = with_one_on_the_wire(host(3, rules=DROP_ALL), "c1", f"{WIRED}/24")
    facts = with_one_on_the_wire(facts, "c2", "203.0.113.78/24")
    assert ask(facts, "c2", f"{WIRED}:8080").by == "c1"


def test_what_a_router_on_the_wire_does_is_not_guessed() -> None:
    facts = with_one_on_the_wire(host(3, rules=ALL_OPEN), "c1", f"{WIRED}/24")
    verdict = ask(facts, "c1", DIRECT)
    assert verdict.reachable is None
    assert GATEWAY in (verdict.unknown_because or "")


@pytest.mark.parametrize(("items", "reached"), [([], True), ([{"rule": {"chain": "c", "expr": []}}], None)])
def test_rules_for_frames_are_not_guessed_at(items: list[object], reached: bool | None) -> None:
    facts = host(rules=ALL_OPEN)
    firewall = facts.firewall.model_copy(update={"nft_json": {"bridge filter": items}})
    assert ask(facts.model_copy(update={"firewall": firewall}), "c1", DIRECT).reachable is reached


def test_a_client_outside_is_far_away_where_the_router_has_a_link_local_address() -> None:
    far = route(None, interface="eth0", family=6, gateway="fe80::1")
    own = {"interface": "eth0", "address": "2001:db8:1::10/64"}
    addresses = (*host().namespaces[0].addresses, InterfaceAddress.model_validate(own))
    facts = with_host_space(with_routes(host(rules=ALL_OPEN), far), addresses=addresses)
    assert str(Clients(Topology(facts)).gateway(6)) == "2001:db8::1"


@pytest.mark.parametrize(("listens", "expected"), [(True, None), (False, "refused")])
def test_a_rule_that_cannot_be_told_does_not_matter_where_the_end_is_the_same(
    listens: bool, expected: str | None
) -> None:
    facts = host(rules=filtered("-A OUTPUT -p tcp -m owner --uid-owner 1000 -j REJECT"))
    if not listens:
        facts = with_host_space(facts, listening=())
    verdict = ask(facts, "host", f"{LAN}:20001")
    assert verdict.failure == expected
    assert (verdict.reachable is None) is listens


@pytest.mark.parametrize(
    ("rules", "reached"),
    [
        (("-A FORWARD -i eth0 -m conntrack --ctstate NEW -j ACCEPT", "-A FORWARD -i eth0 -j DROP"), False),
        (("-A FORWARD -i eth0 -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT", "-A FORWARD -i eth0 -j DROP"), True),
        (("-A FORWARD -i eth0 -p tcp ! --syn -j DROP",), False),
        (("-A FORWARD -i eth0 -m conntrack --ctstate INVALID -j DROP",), True),
    ],
)
def test_what_a_client_sends_after_the_first_answer_must_come_through_too(
    rules: tuple[str, ...], reached: bool
) -> None:
    verdict = ask(host(rules=filtered(*rules)), "external", DIRECT)
    assert verdict.reachable is reached
    if not reached:
        assert "the connection stands" in verdict.steps[-1].what


def test_later_packets_of_a_translated_connection_are_translated_too() -> None:
    rules = host().firewall.tables[0].text
    guarded = rules.replace("*filter\n", "*filter\n", 1) + filtered("-A FORWARD -m conntrack --ctstate INVALID -j DROP")
    assert ask(host(rules=guarded), "external", f"{LAN}:20001").by == "c1"
    assert ask(host(rules=guarded), "c0", "172.20.0.1:20001").by == "c1"


@pytest.mark.parametrize(("level", "reached"), [("0", True), ("1", True), ("2", True)])
def test_a_containers_own_reverse_path_filter_lets_its_gateways_packets_in(level: str, reached: bool) -> None:
    assert ask(with_filter_in_c0(level), "external", DIRECT).reachable is reached


def with_filter_in_c0(level: str, *, default_route: bool = True) -> HostFacts:
    facts = host(rules=ALL_OPEN)
    own, c0, *others = facts.namespaces
    routes = c0.routes if default_route else tuple(each for each in c0.routes if each.destination is not None)
    c0 = c0.model_copy(update={"sysctls": {"net.ipv4.conf.all.rp_filter": level}, "routes": routes})
    return facts.model_copy(update={"namespaces": (own, c0, *others)})


def test_a_container_without_a_way_back_drops_what_it_gets() -> None:
    verdict = ask(with_filter_in_c0("2", default_route=False), "external", DIRECT)
    assert verdict.failure == "no-answer"
    assert verdict.steps[-1].why == "rp_filter = 2 in c0"


def test_the_way_back_is_looked_up_as_the_answer_would_be() -> None:
    """From the address that was asked, so that a rule on sources counts."""
    facts = host(rules=ALL_OPEN, sysctls={"net.ipv4.conf.eth0.rp_filter": "1"})
    routes = (route("198.51.100.0/24", interface="eth1"), route(None, interface="eth0", table="100"))
    rules = tuple(
        RoutingRule(family=4, priority=priority, source=source, table=table)
        for priority, source, table in ((100, "172.20.0.2", "100"), (32766, "all", "main"))
    )
    facts = with_host_space(with_routes(facts, *routes), rules=rules)
    assert ask(facts, "external", DIRECT, "198.51.100.7", "eth0").reachable
    assert ask(facts, "external", "172.20.0.3:8080", "198.51.100.7", "eth0").failure == "no-answer"


def test_ipv6_loopback_that_arrives_from_outside_is_dropped_before_any_rule() -> None:
    """Also where a rule would translate it: this host has a DNAT for [::1]:5005 in PREROUTING."""
    verdict = Datapath(facts("20.10.24-iptables-proxy-on-variant")).connect(
        "external", HostPort.parse("[::1]:5005"), client_address=ip_address("fd98::254"), interface="eth0"
    )

    assert (verdict.reachable, verdict.failure) == (False, "no-answer")
    assert verdict.steps[-1].what == "::1 arrives on eth0"
