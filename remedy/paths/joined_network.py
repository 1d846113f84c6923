"""The host with a new bridge network, and with containers joined to a network: pure, from facts to facts.

Names of interfaces that the engine will choose are made up, and so is who gets which of the free addresses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_interface
from typing import Literal

from remedy.facts.model import (
    Address,
    BridgePort,
    Container,
    Endpoint,
    HostFacts,
    Interface,
    InterfaceAddress,
    Link,
    NetNamespace,
    Network,
    Route,
    Subnet,
)
from remedy.paths.internal_network_rules import with_endpoint, with_internal_network
from remedy.paths.own_tables import with_engines_dns

SUPPOSED = "br-supposed"
_FAMILY: dict[int, Literal[4, 6]] = {4: 4, 6: 6}


def with_network(facts: HostFacts, name: str, subnets: Sequence[Subnet]) -> HostFacts:
    """With a new internal bridge network, whose gateways are the subnets' first addresses."""
    if any(network.name == name for network in facts.networks):
        return facts
    bridge = f"{SUPPOSED}{len(facts.networks)}"[:15]
    network = Network(
        id=f"supposed:{name}",
        name=name,
        driver="bridge",
        scope="local",
        internal=True,
        enable_ipv6=any(subnet.version == 6 for subnet in subnets),
        subnets=tuple(subnets),
        gateways=tuple(subnet[1] for subnet in subnets),
        bridge=bridge,
        options={},
    )
    own = tuple(ip_interface(f"{subnet[1]}/{subnet.prefixlen}") for subnet in subnets)
    spaces = tuple(
        _with_interface(space, Link(index=_free_index(facts), name=bridge, kind="bridge"), own)
        if space.is_host
        else space
        for space in facts.namespaces
    )
    firewall = with_internal_network(facts, bridge, subnets)
    changed = {"networks": (*facts.networks, network), "namespaces": spaces, "firewall": firewall}
    return facts.model_copy(update=changed)


def with_members(facts: HostFacts, name: str, aliases: Mapping[str, Sequence[str]]) -> HostFacts:
    """With these containers on the network too. aliases: container id -> its aliases there."""
    network = next((known for known in facts.networks if known.name == name), None)
    if network is None or network.bridge is None:
        return facts
    for container in facts.containers:
        if container.id in aliases and all(e.network_id != network.id for e in container.endpoints):
            facts = _joined(facts, network, container, tuple(aliases[container.id]))
    return facts


def _joined(facts: HostFacts, network: Network, container: Container, aliases: tuple[str, ...]) -> HostFacts:
    own = tuple(_free_addresses(facts, network))
    host_index, inner_index = _free_index(facts), _free_index(facts) + 1
    veth, inner = f"veth-supposed{host_index}", f"eth-supposed{inner_index}"
    spaces = []
    for space in facts.namespaces:
        if space.is_host:
            link = Link(index=host_index, name=veth, kind="veth", master=network.bridge, peer_index=inner_index)
            spaces.append(space.model_copy(update={"links": (*space.links, link)}))
        elif container.id in space.containers:
            link = Link(index=inner_index, name=inner, kind="veth", peer_index=host_index)
            named = space.model_copy(update={"own_table": with_engines_dns(space)})
            spaces.append(_with_interface(named, link, own))
        else:
            spaces.append(space)
    port = BridgePort(
        bridge=network.bridge or "",
        interface=veth,
        hairpin_mode=facts.engine.userland_proxy is False,
        container_id=container.id,
    )
    endpoint = _endpoint(network, own, aliases)
    containers = tuple(
        c.model_copy(update={"endpoints": (*c.endpoints, endpoint)}) if c.id == container.id else c
        for c in facts.containers
    )
    firewall = facts.firewall
    for interface in own:
        firewall = with_endpoint(facts.model_copy(update={"firewall": firewall}), network, interface.ip)
    changed = {
        "firewall": firewall,
        "namespaces": tuple(spaces),
        "bridge_ports": (*facts.bridge_ports, port),
        "containers": containers,
    }
    return facts.model_copy(update=changed)


def _endpoint(network: Network, own: Sequence[Interface], aliases: tuple[str, ...]) -> Endpoint:
    four = next((interface for interface in own if interface.version == 4), None)
    six = next((interface for interface in own if interface.version == 6), None)
    values = {"ipv4": four, "ipv6": six, "aliases": aliases}
    return Endpoint(network_id=network.id, network_name=network.name).model_copy(update=values)


def _with_interface(space: NetNamespace, link: Link, own: Sequence[Interface]) -> NetNamespace:
    addresses = tuple(InterfaceAddress(interface=link.name, address=interface) for interface in own)
    routes = tuple(
        Route(
            family=_FAMILY[interface.version],
            table="main",
            destination=interface.network,
            kind="unicast",
            interface=link.name,
            gateway=None,
            prefsrc=interface.ip if interface.version == 4 else None,
            metric=None if interface.version == 4 else 256,
            scope="link" if interface.version == 4 else "global",
            protocol="kernel",
        )
        for interface in own
    )
    return space.model_copy(
        update={
            "links": (*space.links, link),
            "addresses": (*space.addresses, *addresses),
            "routes": (*space.routes, *routes),
        }
    )


def _free_index(facts: HostFacts) -> int:
    return 1 + max((link.index for space in facts.namespaces for link in space.links), default=0)


def _free_addresses(facts: HostFacts, network: Network) -> Iterator[Interface]:
    """The first free address of each subnet; the engine goes on from the last that it gave."""
    taken: set[Address] = set(network.gateways)
    for container in facts.containers:
        for endpoint in container.endpoints:
            if endpoint.network_id == network.id:
                taken |= {interface.ip for interface in (endpoint.ipv4, endpoint.ipv6) if interface is not None}
    for subnet in network.subnets:
        address = next((address for address in subnet.hosts() if address not in taken), None)
        if address is not None:
            yield ip_interface(f"{address}/{subnet.prefixlen}")
