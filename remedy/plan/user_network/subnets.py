"""A subnet for a new network: the spec's, or the first one that collides with nothing that this host knows of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network

from remedy.facts.model import Address, HostFacts, NetNamespace, Subnet

# Routes as wide as these are another way to write a default route (VPNs: 0.0.0.0/1 and 128.0.0.0/1).
WIDEST_COUNTED_PREFIX = 4
USUAL_PREFIX = 24
ROOM_FOR_MORE = 2  # times as many containers as there are now
RESERVED = 3  # the network's own address, the gateway's, the broadcast
MOST_TRIED = 256  # subnets of one pool
PEERS_NEIGHBOURHOOD = 16  # where one machine behind the default route was seen, there are others

# Where remedy looks, in this order, after daemon.json's default-address-pools. The ranges are those that the engine's
# own networks come from, without those that home and cloud networks use by default (172.31.0.0/16 comes late). All from
# the top: the engine begins at the other end, and so does whoever counts by hand.
POOLS = (
    *(IPv4Network(f"172.{second}.0.0/16") for second in range(30, 17, -1)),
    IPv4Network("10.254.0.0/16"),
    IPv4Network("192.168.240.0/20"),
    IPv4Network("172.31.0.0/16"),
    IPv4Network("10.0.0.0/9"),
)


@dataclass(frozen=True, slots=True)
class Taken:
    """A range that is in use, and by what."""

    subnet: Subnet
    what: str


def taken_ranges(facts: HostFacts, container_ids: Sequence[str]) -> tuple[Taken, ...]:
    """Everything that a new subnet must not overlap: the host's and these containers' networks, addresses, routes."""
    found = [
        Taken(subnet, f"the Docker network {network.name}") for network in facts.networks for subnet in network.subnets
    ]
    for space in facts.namespaces:
        if space.is_host or set(space.containers) & set(container_ids):
            found += _of_namespace(space, facts)
    return tuple(found)


def _of_namespace(space: NetNamespace, facts: HostFacts) -> Iterator[Taken]:
    names = {container.id: container.name for container in facts.containers}
    whose = "the host" if space.is_host else ", ".join(names.get(id_, id_[:12]) for id_ in space.containers)
    for item in space.addresses:
        yield Taken(ip_network(item.address.network), f"{item.interface} of {whose}")
    for route in space.routes:
        if route.destination is not None and route.destination.prefixlen >= WIDEST_COUNTED_PREFIX:
            by = f" by {route.interface}" if route.interface else ""
            yield Taken(route.destination, f"a route of {whose}{by} (table {route.table})")
    for rule in space.rules:
        for text in (rule.source, _destination(rule.extra)):
            subnet = _subnet(text)
            if subnet is not None and subnet.prefixlen >= WIDEST_COUNTED_PREFIX:
                yield Taken(subnet, f"routing rule {rule.priority} of {whose}")


def _destination(extra: dict[str, str]) -> str:
    length = extra.get("dstlen")
    return extra.get("dst", "all") + (f"/{length}" if length else "")


def _subnet(text: str) -> Subnet | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None  # "all"


def peers_of(facts: HostFacts) -> frozenset[Address]:
    """Addresses that something of this host talks to: behind the default route a range has no route of its own."""
    found: set[Address] = set()
    for space in facts.namespaces:
        found |= {connection.remote_address for connection in space.connections}
    for entry in facts.conntrack.entries:
        found |= {entry.source, entry.destination, entry.reply_source, entry.reply_destination}
    for haproxy in facts.haproxies:
        for server in haproxy.servers:
            found |= set(server.addresses)
    return frozenset(found)


def collision(subnet: Subnet, taken: Sequence[Taken]) -> Taken | None:
    """What the subnet overlaps with; None: nothing."""
    return next((item for item in taken if _overlaps(subnet, item.subnet)), None)


def free_subnet(facts: HostFacts, taken: Sequence[Taken], containers: int) -> IPv4Network | None:
    """The first subnet for so many containers that is free; None when there is none."""
    wanted = containers * ROOM_FOR_MORE + RESERVED
    prefix = min(USUAL_PREFIX, 32 - (wanted - 1).bit_length())
    peers = [peer for peer in peers_of(facts) if not any(_has(item.subnet, peer) for item in taken)]
    for pool in (*_configured_pools(facts), *POOLS):
        here = [item for item in taken if _overlaps(pool, item.subnet)]
        if pool.prefixlen > prefix or any(_covers(item.subnet, pool) for item in here):
            continue
        # A pool that is as riddled with others as this is left for the next.
        for candidate in _from_the_top(pool, prefix):
            beside = candidate.supernet(new_prefix=min(PEERS_NEIGHBOURHOOD, prefix))
            if collision(candidate, here) is None and not any(_has(beside, peer) for peer in peers):
                return candidate
    return None


def _from_the_top(pool: IPv4Network, prefix: int) -> Iterator[IPv4Network]:
    """The last subnets of a pool, without counting all of them."""
    size = 1 << (32 - prefix)
    for number in range(1, min(MOST_TRIED, pool.num_addresses // size) + 1):
        yield IPv4Network((int(pool.network_address) + pool.num_addresses - number * size, prefix))


def _configured_pools(facts: HostFacts) -> Iterator[IPv4Network]:
    """daemon.json's default-address-pools: what the operator has set aside for containers."""
    pools = (facts.daemon_json.parsed or {}).get("default-address-pools")
    for pool in pools if isinstance(pools, list) else ():
        subnet = _subnet(str(pool.get("base"))) if isinstance(pool, dict) else None
        if isinstance(subnet, IPv4Network):
            yield subnet


def _overlaps(one: Subnet, other: Subnet) -> bool:
    return one.version == other.version and one.overlaps(other)


def _has(subnet: Subnet, address: Address) -> bool:
    return subnet.version == address.version and address in subnet


def _covers(outer: Subnet, inner: Subnet) -> bool:
    return outer.version == inner.version and outer.prefixlen <= inner.prefixlen and outer.overlaps(inner)
