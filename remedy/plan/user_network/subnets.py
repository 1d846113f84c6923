"""A subnet for a new network that overlaps with nothing that the host, or a container that joins, knows a way to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network

from remedy.facts.model import Container, HostFacts, Subnet

# Shorter prefixes are ways to "everything", such as a VPN's 0.0.0.0/1 beside the default route: all would overlap.
SHORTEST_PREFIX = 7
# In order: private ranges that neither Docker's own pools begin with (172.17.0.0/16 and up, 192.168.0.0/20) nor home
# and cloud networks use by default. The last /24s first: whoever counts by hand begins at the other end.
POOLS = (IPv4Network("172.30.0.0/16"), IPv4Network("172.29.0.0/16"), IPv4Network("10.213.0.0/16"))
PREFIX = 24
RESERVED = 3  # the network's own address, the gateway, broadcast


def used_subnets(facts: HostFacts, members: Iterable[Container]) -> Iterator[tuple[Subnet, str]]:
    """Every destination that is taken, with words for what takes it."""
    for network in facts.networks:
        for subnet in network.subnets:
            yield subnet, f"the Docker network {network.name}"
    joining = {member.id for member in members}
    for space in facts.namespaces:
        if not space.is_host and joining.isdisjoint(space.containers):
            continue
        where = "of the host" if space.is_host else "in a container's namespace"
        for route in space.routes:
            taken = route.destination
            if taken is not None and taken.prefixlen >= SHORTEST_PREFIX:
                yield taken, f"a route {where} by {route.interface or route.kind} ({taken})"
        for item in space.addresses:
            yield item.address.network, f"the address {item.address.ip} {where} on {item.interface}"


def collision(wanted: Subnet, used: Iterable[tuple[Subnet, str]]) -> str | None:
    """What the subnet would collide with; None when it is free."""
    for taken, what in used:
        if isinstance(wanted, IPv4Network) and isinstance(taken, IPv4Network) and wanted.overlaps(taken):
            return what
        if isinstance(wanted, IPv6Network) and isinstance(taken, IPv6Network) and wanted.overlaps(taken):
            return what
    return None


def free_subnet(facts: HostFacts, members: Iterable[Container], count: int) -> IPv4Network | None:
    """The first free subnet with room for `count` containers, and as many again; None when all are taken."""
    used = [subnet for subnet, _ in used_subnets(facts, members) if isinstance(subnet, IPv4Network)]
    prefix = PREFIX
    while 2 ** (32 - prefix) - RESERVED < 2 * count:
        prefix -= 1
    for pool in POOLS:
        near = [subnet for subnet in used if subnet.overlaps(pool)]
        for candidate in reversed(list(pool.subnets(new_prefix=prefix))):
            if not any(candidate.overlaps(subnet) for subnet in near):
                return candidate
    return None
