"""Where packets go, and which source they get."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

import pytest
from path_samples import route, space

from remedy.facts.model import RoutingRule
from remedy.paths.routing import Routing, UnknownRoute
from remedy.paths.source_address import Candidate, source6

ETH0 = ("eth0", "203.0.113.10/24")


def rule(priority: int, source: str = "all", table: str | None = "100", **extra: str) -> RoutingRule:
    return RoutingRule(family=4, priority=priority, source=source, table=table, extra=extra)


def test_the_longest_prefix_wins_and_the_lowest_metric_of_it() -> None:
    routing = Routing(
        space(
            ETH0,
            routes=(
                route(None, interface="eth0", gateway="203.0.113.254"),
                route("10.0.0.0/8", interface="eth1", metric=20),
                route("10.0.0.0/8", interface="eth2", metric=10),
                route("10.1.0.0/16", interface="eth3"),
            ),
        )
    )
    assert routing.lookup(ip_address("10.1.2.3")).interface == "eth3"
    assert routing.lookup(ip_address("10.2.2.3")).interface == "eth2"
    assert routing.lookup(ip_address("9.9.9.9")).next_hop == ip_address("203.0.113.254")


def test_own_addresses_and_all_of_loopback_are_local() -> None:
    routing = Routing(space(ETH0))
    assert routing.lookup(ip_address("203.0.113.10")).is_local
    assert routing.lookup(ip_address("127.8.9.1")).source == ip_address("127.0.0.1")
    assert routing.lookup(ip_address("203.0.113.255")).kind == "broadcast"
    assert not routing.lookup(ip_address("8.8.8.8")).leads_somewhere


@pytest.mark.parametrize("kind", ["unreachable", "blackhole", "prohibit"])
def test_routes_that_lead_nowhere_say_how(kind: str) -> None:
    routing = Routing(space(ETH0, routes=(route("192.0.2.0/24", kind), route(None, interface="eth0"))))
    assert routing.lookup(ip_address("192.0.2.1")).kind == kind


def test_a_throw_route_goes_on_with_the_next_rule() -> None:
    routes = (route("192.0.2.0/24", "throw", table="100"), route(None, interface="eth0"))
    routing = Routing(space(ETH0, routes=routes, rules=(rule(100), rule(32766, table="main"))))
    assert routing.lookup(ip_address("192.0.2.1")).interface == "eth0"


def test_rules_look_at_source_mark_and_incoming_interface() -> None:
    routes = (route(None, interface="eth1", table="100"), route(None, interface="eth0"))
    main = rule(32766, table="main")
    for chosen, asked in (
        (rule(100, "203.0.113.0/24"), {"source": ip_address("203.0.113.10")}),
        (rule(100, fwmark="0x10", fwmask="0xff"), {"mark": 0x110}),
        (rule(100, iif="docker0"), {"in_interface": "docker0"}),
    ):
        routing = Routing(space(ETH0, routes=routes, rules=(chosen, main)))
        assert routing.lookup(ip_address("9.9.9.9"), **asked).interface == "eth1"
        assert routing.lookup(ip_address("9.9.9.9")).interface == "eth0"


def test_a_vpns_rules_leave_what_is_near_in_the_main_table() -> None:
    """As wg-quick writes them."""
    routes = (
        route(None, interface="wg0", table="51820"),
        route(None, interface="eth0"),
        route("203.0.113.0/24", interface="eth0"),
    )
    near = rule(32764, table="main", suppress_prefixlength="0")
    far = rule(32765, table="51820", fwmark="0xca6c", **{"not": ""})
    routing = Routing(space(ETH0, routes=routes, rules=(near, far, rule(32766, table="main"))))
    assert routing.lookup(ip_address("203.0.113.7")).interface == "eth0"
    assert routing.lookup(ip_address("9.9.9.9")).interface == "wg0"
    assert routing.lookup(ip_address("9.9.9.9"), mark=0xCA6C).interface == "eth0"


def test_a_rule_that_is_not_known_is_no_guess() -> None:
    routing = Routing(space(ETH0, rules=(rule(100, uidrange="0-99"), rule(32766, table="main"))))
    with pytest.raises(UnknownRoute, match="uidrange"):
        routing.lookup(ip_address("9.9.9.9"))


def test_an_ipv4_source_is_that_of_the_next_hops_subnet() -> None:
    routing = Routing(space(ETH0, ("eth0", "198.51.100.10/24"), routes=(route(None, interface="eth0"),)))
    assert routing.source_for("eth0", ip_address("198.51.100.7")) == ip_address("198.51.100.10")
    assert routing.source_for("eth0", ip_address("9.9.9.9")) == ip_address("203.0.113.10")
    assert routing.source_for("eth9", ip_address("9.9.9.9")) == ip_address("203.0.113.10")


CANDIDATES = [
    Candidate(IPv6Address("2001:db8::10"), "eth0"),
    Candidate(IPv6Address("fd98::10"), "eth0"),
    Candidate(IPv6Address("fd98:0:0:1::10"), "eth0"),
    Candidate(IPv6Address("fd00:1::1"), "br-1"),
]


@pytest.mark.parametrize(
    ("to", "interface", "source"),
    [
        ("fd00:1::1", "lo", "fd00:1::1"),  # the very address, wherever it is: so masquerading on lo changes nothing
        ("2001:db8:9::1", "eth0", "2001:db8::10"),
        ("fd98::1", "eth0", "fd98::10"),  # a unique local address for one, and the longest common prefix
        ("fd98:0:0:1::1", "eth0", "fd98:0:0:1::10"),
        ("fd00:1::2", "br-1", "fd00:1::1"),
        ("fd00:1::2", "eth0", "fd98::10"),  # the outgoing interface's own come first
    ],
)
def test_an_ipv6_source_is_chosen_by_rfc_6724(to: str, interface: str, source: str) -> None:
    found = source6(CANDIDATES, interface, IPv6Address(to))
    assert found is not None
    assert (found == IPv6Address(source)) or (to == "fd00:1::2" and found.packed[:2] == b"\xfd\x98")


def test_without_an_address_there_is_no_source() -> None:
    assert source6([], "eth0", IPv6Address("fd98::1")) is None
