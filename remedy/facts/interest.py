"""Whose connections are kept: those through a published port, and those that a haproxy is configured to make.

Everything else that the host does on the network is nobody's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from remedy.facts.model import Address, Container, HaproxyFacts

AddressAndPort = tuple[Address, int]


@dataclass(frozen=True, slots=True)
class Interest:
    """Ends of connections that count.

    host_ports: published ports, counting at each of host_addresses; targets: single (address, port) pairs,
    such as a container's own port that is published.
    """

    host_ports: frozenset[int]
    host_addresses: frozenset[Address] = frozenset()
    targets: frozenset[AddressAndPort] = frozenset()
    ports: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        # All port numbers that can be meant: a cheap first look.
        object.__setattr__(self, "ports", self.host_ports | {port for _, port in self.targets})

    def covers(self, end: AddressAndPort) -> bool:
        """Whether this end of a connection counts."""
        return end in self.targets or (end[1] in self.host_ports and end[0] in self.host_addresses)


def published_ports(containers: Iterable[Container]) -> frozenset[int]:
    """Return all published host ports."""
    return frozenset(binding.host_port for container in containers for binding in container.ports)


def published_targets(containers: Iterable[Container]) -> frozenset[AddressAndPort]:
    """Return where published ports lead: the containers' own addresses and ports."""
    return frozenset(
        (address, binding.container_port)
        for container in containers
        for address in _addresses(container)
        for binding in container.ports
    )


def haproxy_targets(haproxies: Iterable[HaproxyFacts], containers: Sequence[Container]) -> frozenset[AddressAndPort]:
    """Return where haproxies connect to; names are looked up among the containers and in /etc/hosts."""
    by_name: dict[str, set[Address]] = {}
    for container in containers:
        names = {container.name, *(name for end in container.endpoints for name in (*end.aliases, *end.dns_names))}
        for name in names:
            by_name.setdefault(name, set()).update(_addresses(container))
    return frozenset(
        (address, server.port)
        for haproxy in haproxies
        for server in haproxy.servers
        if server.port is not None
        for address in (*_resolve(server.host, by_name), *server.addresses)
    )


def _resolve(host: str, by_name: dict[str, set[Address]]) -> Iterable[Address]:
    try:
        return (ip_address(host),)
    except ValueError:
        return by_name.get(host, ())


def _addresses(container: Container) -> list[Address]:
    interfaces = [interface for end in container.endpoints for interface in (end.ipv4, end.ipv6)]
    return [interface.ip for interface in interfaces if interface is not None]
