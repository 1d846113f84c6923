"""Which pairs there are: the load balancer, a backend, and a bridge that both are on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from remedy.facts.model import Address, Container, Endpoint, HostFacts
from remedy.firewall.ruleset import UntrackedPair
from remedy.plan.selection import BackendContainer

Place = tuple[str, str, str, int, str, int]


def place_of(pair: UntrackedPair) -> Place:
    """What stays of a pair when its containers are made again: who, whom, at which port, by which network."""
    return pair.client, pair.server, pair.protocol, pair.server_port, pair.network, pair.family


def in_order(pairs: Iterable[UntrackedPair]) -> tuple[UntrackedPair, ...]:
    """One order, whatever they were found by: rules of iptables that stand in another one are others."""
    return tuple(sorted(pairs, key=place_of))


def candidates(
    facts: HostFacts, balancer: Container, backend: BackendContainer, network: str | None
) -> Iterator[UntrackedPair]:
    """The pairs of one backend, in each address family, on each bridge network that both are on (or on `network`)."""
    bridges = {each.id: each.bridge for each in facts.networks if each.driver == "bridge" and each.bridge}
    for own in balancer.endpoints:
        bridge = bridges.get(own.network_id)
        if bridge is None or network not in (None, own.network_name):
            continue
        for other in backend.container.endpoints:
            if other.network_id == own.network_id:
                yield from _pairs((own, other), bridge, balancer, backend)


def _pairs(
    ends: tuple[Endpoint, Endpoint], bridge: str, balancer: Container, backend: BackendContainer
) -> Iterator[UntrackedPair]:
    for version in (4, 6):
        client, server = (_address(end, version) for end in ends)
        if client is not None and server is not None:
            yield UntrackedPair(
                protocol=backend.protocol,
                client_address=client,
                server_address=server,
                server_port=backend.port,
                bridge=bridge,
                client=balancer.name,
                server=backend.container.name,
                network=ends[0].network_name,
            )


def _address(endpoint: Endpoint, version: int) -> Address | None:
    interface = endpoint.ipv4 if version == 4 else endpoint.ipv6
    return None if interface is None else interface.ip


def of_later(backends: Sequence[BackendContainer], facts: HostFacts) -> tuple[BackendContainer, ...]:
    """The running backends as they are in these facts: on the networks that they will have joined."""
    known = {container.id: container for container in facts.containers if container.is_running}
    return tuple(
        BackendContainer(known[each.container.id], each.port, each.protocol)
        for each in backends
        if each.container.id in known
    )
