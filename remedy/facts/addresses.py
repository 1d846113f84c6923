"""Interfaces, addresses, routes and routing rules of one network namespace, from `ip -json`.

One program per namespace for everything but IPv6's rules, which `ip` lists only when asked separately.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any, Literal

from remedy.facts.model import Address, InterfaceAddress, Link, Route, RoutingRule, Subnet
from remedy.host.commands import run_command

_BATCH = "address show\nroute show table all\nrule show\n"
# protocol says who made the rule, which changes nothing for a packet.
_RULE_FIELDS = frozenset({"priority", "src", "srclen", "table", "protocol"})

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Addressing:
    """What `ip` says of a namespace. raw_links keeps the bridge ports' details for remedy.facts.bridges."""

    links: tuple[Link, ...]
    addresses: tuple[InterfaceAddress, ...]
    routes: tuple[Route, ...]
    rules: tuple[RoutingRule, ...]
    raw_links: tuple[Item, ...] = ()


def read_addressing() -> Addressing:
    """Read the calling thread's network namespace."""
    output = run_command(["ip", "-json", "-details", "-batch", "-"], stdin=_BATCH).stdout
    addressing = parse_addressing(*parse_batch(output))
    # Without an IPv6 address no packet of this family is routed.
    if not any(found.address.version == 6 and found.scope == "global" for found in addressing.addresses):
        return addressing
    rules6 = json.loads(run_command(["ip", "-json", "-6", "rule", "show"]).stdout or "[]")
    return replace(addressing, rules=(*addressing.rules, *(parse_rule(rule, 6) for rule in rules6)))


def parse_addressing(links: list[Item], routes: list[Item], rules: list[Item]) -> Addressing:
    """Put together what `ip -json` says of links with their addresses, of routes, and of IPv4's rules."""
    # Ports of a bridge do no routing of their own: their link-local addresses and routes are noise.
    ports = {link["ifname"] for link in links if "master" in link}
    return Addressing(
        links=tuple(map(parse_link, links)),
        addresses=tuple(found for found in parse_addresses(links) if found.interface not in ports),
        routes=tuple(parse_routes([route for route in routes if route.get("dev") not in ports])),
        rules=tuple(parse_rule(rule, 4) for rule in rules),
        raw_links=tuple(links),
    )


def parse_batch(output: str) -> tuple[list[Item], list[Item], list[Item]]:
    """Split the output of the batch into links with addresses, routes and rules."""
    decoder = json.JSONDecoder()
    parts: list[list[Item]] = []
    position = 0
    while position < len(output.rstrip()):
        part, position = decoder.raw_decode(output, position)
        parts.append([item for item in part if item])
        position += len(output[position:]) - len(output[position:].lstrip())
    links, routes, rules = parts
    return links, routes, rules


def parse_link(link: Item) -> Link:
    """Read one item of `ip -json link` or `address`."""
    return Link(
        index=link["ifindex"],
        name=link["ifname"],
        kind=(link.get("linkinfo") or {}).get("info_kind"),
        is_up="UP" in link.get("flags", ()),
        mac=link.get("address") if link.get("link_type") == "ether" else None,
        mtu=link.get("mtu"),
        master=link.get("master"),
        peer_index=link.get("link_index"),
        peer_namespace=link.get("link_netnsid"),
    )


def parse_addresses(links: list[Item]) -> Iterator[InterfaceAddress]:
    """Read the addresses in the answer of `ip -json address`."""
    for link in links:
        for info in link.get("addr_info") or ():
            if "local" in info:
                yield InterfaceAddress(
                    interface=link["ifname"],
                    address=ip_interface(f"{info['local']}/{info['prefixlen']}"),
                    scope=str(info.get("scope", "global")),
                )


def parse_routes(routes: list[Item]) -> Iterator[Route]:
    """Read `ip -json route show table all`; a route with several next hops gives one Route each."""
    for route in routes:
        if route.get("type") == "multicast":
            continue
        for hop in route.get("nexthops") or (route,):
            yield _parse_route(route, hop)


def parse_rule(rule: Item, family: Literal[4, 6]) -> RoutingRule:
    """Read one item of `ip -json rule`."""
    source = str(rule.get("src", "all"))
    table = rule.get("table")
    return RoutingRule(
        family=family,
        priority=rule["priority"],
        source=f"{source}/{rule['srclen']}" if "srclen" in rule else source,
        table=None if table is None else str(table),
        # `ip` shows a flag like "not" or "unreachable" as null.
        extra={key: "" if value is None else str(value) for key, value in rule.items() if key not in _RULE_FIELDS},
    )


def _parse_route(route: Item, hop: Item) -> Route:
    destination = str(route.get("dst", "default"))
    gateway = _gateway(hop)
    return Route(
        family=6 if _is_v6(route, hop) else 4,
        table=str(route.get("table", "main")),
        destination=_destination(destination),
        kind=str(route.get("type", "unicast")),
        interface=hop.get("dev", route.get("dev")),
        gateway=gateway,
        prefsrc=ip_address(route["prefsrc"]) if route.get("prefsrc") else None,
        metric=route.get("metric"),
        scope=route.get("scope"),
        protocol=route.get("protocol"),
    )


def _destination(text: str) -> Subnet | None:
    return None if text == "default" else ip_network(text, strict=False)


def _is_v6(route: Item, hop: Item) -> bool:
    # A default route has no address to tell by; `pref` is IPv6's.
    texts = (route.get("dst"), route.get("prefsrc"), hop.get("gateway"))
    return "pref" in route or any(":" in text for text in texts if text)


def _gateway(hop: Item) -> Address | None:
    # An IPv4 route over an IPv6 neighbour has "via": {"family": "inet6", "host": ...} in place of it.
    text = hop.get("gateway") or (hop.get("via") or {}).get("host")
    return ip_address(text) if text else None
