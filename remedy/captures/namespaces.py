"""The network namespaces of a capture: the host's, and the containers' from `container-net.json`.

Of a container's namespace the main routing table was recorded and the interfaces other than lo. What the kernel
adds by itself (lo, the table `local`, the three rules) is filled in as it would be read on a live host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from itertools import count
from typing import Any, Literal

from remedy.captures.files import CaptureFiles
from remedy.captures.listening import listening_sockets, parse_lines
from remedy.facts.addresses import Addressing, parse_addressing, parse_rule
from remedy.facts.engine_rules import Version
from remedy.facts.model import Container, Interface, InterfaceAddress, Link, NetNamespace, Network, Route, RoutingRule

# moby 26.0 (PR 47062) leaves IPv6 on a container's lo alone; before, it was off in a namespace without IPv6
# addresses: measured refused on 26.1 and "address family not available" on 20.10 for [::1].
IPV6_ON_EVERY_LOOPBACK: Version = (26, 0)

Item = dict[str, Any]
Family = Literal[4, 6]

_HOST_NUMBER = 1
_LOOPBACK4, _LOOPBACK6 = IPv4Interface("127.0.0.1/8"), IPv6Interface("::1/128")
_DEFAULT_RULES: Mapping[Family, tuple[Item, ...]] = {
    4: (
        {"priority": 0, "src": "all", "table": "local"},
        {"priority": 32766, "src": "all", "table": "main"},
        {"priority": 32767, "src": "all", "table": "default"},
    ),
    6: ({"priority": 0, "src": "all", "table": "local"}, {"priority": 32766, "src": "all", "table": "main"}),
}


def read_namespaces(
    files: CaptureFiles, containers: Sequence[Container], networks: Sequence[Network], version: Version
) -> tuple[NetNamespace, ...]:
    """Return the host's namespace and each one of containers, numbered in place of the kernel's inodes."""
    recorded = {item["id"]: item for item in files.document("container-net.json", [])}
    groups = _groups(containers)
    number = count(_HOST_NUMBER + 1)
    return (
        _host(files, groups.pop("host", []), networks),
        *(
            _of_containers(next(number), members, recorded, (version, _shared_interfaces(members, networks)))
            for members in groups.values()
        ),
    )


def _groups(containers: Sequence[Container]) -> dict[str, list[Container]]:
    """Group the running containers by whose namespace they are in: "host", or the id of the container that made it."""
    by_name = {key: container for container in containers for key in (container.name, container.id)}
    groups: dict[str, list[Container]] = {}
    for container in filter(lambda one: one.is_running, containers):
        groups.setdefault(_namespace_of(container, by_name), []).append(container)
    return groups


def _namespace_of(container: Container, by_name: Mapping[str, Container]) -> str:
    seen: set[str] = set()
    while container.network_mode.startswith("container:") and container.id not in seen:
        seen.add(container.id)
        container = by_name.get(container.network_mode.removeprefix("container:"), container)
    return "host" if container.network_mode == "host" else container.id


def _host(files: CaptureFiles, members: Sequence[Container], networks: Sequence[Network]) -> NetNamespace:
    links = [_with_kind(link, networks) for link in files.document("ip-addr.json", []) if link]
    routes = [*files.document("ip-route.json", []), *files.document("ip-route6.json", [])]
    addressing = parse_addressing(links, [route for route in routes if route], files.document("ip-rule.json", []))
    rules6 = files.document("ip-rule6.json", _DEFAULT_RULES[6]) if _routes_ipv6(addressing.addresses) else ()
    lines = parse_lines(files.text("listen.txt").splitlines())
    return NetNamespace(
        inode=_HOST_NUMBER,
        is_host=True,
        containers=tuple(member.id for member in members),
        pid=1,
        links=addressing.links,
        addresses=addressing.addresses,
        routes=addressing.routes,
        rules=(*addressing.rules, *_rules(6, rules6)),
        listening=listening_sockets(lines, members, is_host=True),
        connections=(),
    )


def _with_kind(link: Item, networks: Sequence[Network]) -> Item:
    """Say what `ip -details` would have said of an interface's kind, as far as it can be told."""
    if any(link["ifname"] == network.bridge for network in networks):
        return {"linkinfo": {"info_kind": "bridge"}, **link}
    if "link_netnsid" in link and "master" in link:
        return {"linkinfo": {"info_kind": "veth"}, **link}
    return link


def _shared_interfaces(members: Sequence[Container], networks: Sequence[Network]) -> dict[str, str]:
    """Give the addresses on networks whose containers share an interface of the host, with the networks' driver."""
    drivers = {network.id: network.driver for network in networks if network.driver in ("macvlan", "ipvlan")}
    endpoints = (endpoint for member in members for endpoint in member.endpoints if endpoint.network_id in drivers)
    return {
        str(interface.ip): drivers[endpoint.network_id]
        for endpoint in endpoints
        for interface in (endpoint.ipv4, endpoint.ipv6)
        if interface is not None
    }


def _with_driver(link: Item, drivers: Mapping[str, str]) -> Item:
    found = (drivers.get(str(info.get("local"))) for info in link.get("addr_info") or ())
    kind = next((driver for driver in found if driver is not None), None)
    return link if kind is None else {"linkinfo": {"info_kind": kind}, **link}


def _of_containers(
    number: int,
    members: Sequence[Container],
    recorded: Mapping[str, Item],
    about: tuple[Version, Mapping[str, str]],
) -> NetNamespace:
    version, drivers = about
    items = [recorded[member.id] for member in members if member.id in recorded]
    # Containers that share a namespace tell the same addresses; each tells all of its sockets.
    item: Item = next((item for item in items if item.get("addr")), {})
    links = [_with_driver(link, drivers) for link in item.get("addr", []) if link]
    addressing = parse_addressing(links, [*item.get("route", []), *item.get("route6", [])], [])
    addresses = (*_loopback_addresses(addressing, version), *addressing.addresses)
    families: tuple[Family, ...] = (4, 6) if _routes_ipv6(addresses) else (4,)
    lines = dict.fromkeys(line for item in items for line in item.get("listen", ()))
    return NetNamespace(
        inode=number,
        is_host=False,
        containers=tuple(member.id for member in members),
        pid=members[0].pid,
        links=(Link(index=1, name="lo", mtu=65536), *addressing.links),
        addresses=addresses,
        routes=(*addressing.routes, *(route for found in addresses for route in _own_routes(found))),
        rules=tuple(rule for family in families for rule in _rules(family, _DEFAULT_RULES[family])),
        listening=listening_sockets(parse_lines(lines), members, is_host=False),
        connections=(),
    )


def _routes_ipv6(addresses: Iterable[InterfaceAddress]) -> bool:
    """Whether the rules of IPv6 are told, as by remedy.facts.addresses."""
    return any(found.address.version == 6 and found.scope == "global" for found in addresses)


def _rules(family: Family, items: Iterable[Item]) -> Iterator[RoutingRule]:
    return (parse_rule(item, family) for item in items)


def _loopback_addresses(addressing: Addressing, version: Version) -> Iterator[InterfaceAddress]:
    yield InterfaceAddress(interface="lo", address=_LOOPBACK4, scope="host")
    if version >= IPV6_ON_EVERY_LOOPBACK or any(found.address.version == 6 for found in addressing.addresses):
        yield InterfaceAddress(interface="lo", address=_LOOPBACK6, scope="host")


def _own_routes(found: InterfaceAddress) -> Iterator[Route]:
    """Give the routes that the kernel keeps for an address: to itself, and to IPv4's broadcast address."""
    address = found.address
    yield _local_route(found, ip_interface(address.ip), "local")
    if found.interface == "lo" and address.version == 4:
        yield _local_route(found, address, "local")
    if address.version == 4 and address.network.prefixlen < 31:
        yield _local_route(found, ip_interface(address.network.broadcast_address), "broadcast")


def _local_route(found: InterfaceAddress, destination: Interface, kind: str) -> Route:
    is_v4 = found.address.version == 4
    return Route(
        family=4 if is_v4 else 6,
        table="local",
        destination=destination.network,
        kind=kind,
        interface=found.interface,
        gateway=None,
        prefsrc=found.address.ip if is_v4 else None,
        metric=None if is_v4 else 0,
        scope=("host" if kind == "local" else "link") if is_v4 else None,
        protocol="kernel",
    )
