"""When no user-defined network can be had for these containers: each refusal names its reason and its cure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network

from remedy.facts.model import Container, HostFacts, Network
from remedy.paths.engine_versions import forwards_with_network
from remedy.plan.engine_flags import configured, flag_of
from remedy.plan.model import Refusal
from remedy.plan.user_network.choice import DEFAULT_NETWORKS, GATEWAY_BRIDGE, is_closed_to_neighbours
from remedy.plan.user_network.names import SharedName
from remedy.plan.user_network.subnets import Taken

WHY_HOST = {
    "host": ("uses the host's network", "the host cannot join a user-defined network"),
    "none": ("has no network (network_mode: none)", "the engine connects such a container to nothing"),
}


def host_refusals(facts: HostFacts) -> Iterator[Refusal]:
    """What forbids it on this engine, whichever network it is."""
    if facts.engine.swarm:
        yield Refusal(
            code="swarm",
            what="this engine is part of a swarm",
            why="a service's tasks come and go on their own, and what is joined by hand is lost with them",
            cure="leave user_network out; put load balancer and backends onto one overlay network in the stack's file",
        )


def container_refusals(together: Sequence[Container]) -> Iterator[Refusal]:
    """Containers that no network can take in."""
    for container in together:
        mode = container.network_mode
        what, why = WHY_HOST.get(mode, ("", ""))
        if mode.startswith("container:"):
            what, why = "shares the network of another container", "only that one can be connected"
        if what:
            yield Refusal(
                code="cannot-join",
                what=f"{container.name} {what}",
                why=why,
                cure=f"leave {container.name} out of load_balancer and backends, or give it a network of its own",
            )


def network_refusals(network: Network, all_networks: Sequence[Network]) -> Iterator[Refusal]:
    """A network of the spec's name that does not serve."""
    if network.name in (*DEFAULT_NETWORKS, GATEWAY_BRIDGE):
        yield Refusal(
            code="network-unfit",
            what=f"{network.name} is a network of the engine's own",
            why="the engine's DNS answers on user-defined networks only",
            cure="user_network: NAME of a network that is not there yet, e.g. remedy-lb",
        )
    elif network.driver != "bridge":
        yield Refusal(
            code="network-unfit",
            what=f"the network {network.name} has the driver {network.driver}",
            why="remedy knows how packets travel on bridge networks",
            cure="user_network: another name; remedy makes the network",
        )
    elif is_closed_to_neighbours(network):
        yield Refusal(
            code="network-unfit",
            what=f"containers on the network {network.name} may not talk to each other (enable_icc: false)",
            why="the load balancer would reach nobody there",
            cure="user_network: another name; remedy makes the network",
        )
    if len([other for other in all_networks if other.name == network.name]) > 1:
        yield Refusal(
            code="network-unfit",
            what=f"there are several networks with the name {network.name}",
            why="old engines allow that; nobody can say which one a container joins",
            cure="docker network ls; remove or rename those that are not used",
        )


def default_route_moves(network: Network, containers: Sequence[Container]) -> Refusal:
    """Published ports follow the default route."""
    names = ", ".join(container.name for container in containers[:6]) + (" ..." if len(containers) > 6 else "")
    return Refusal(
        code="default-route-would-move",
        what=f"joining {network.name} would change the default route of {names}",
        why="the engine gives it to the network whose name sorts first, and moves the published ports along: "
        "connections would be refused and cut for seconds, now and on the way back",
        cure="user_network: a name that is not there yet (remedy makes an internal network, which never carries a "
        f"default route), or a network whose name sorts after those of {containers[0].name}",
    )


def name_is_taken(taken: SharedName) -> Refusal:
    """Two containers that answer to one name share its requests."""
    return Refusal(
        code="name-is-taken",
        what=f"{taken.also} answers to the name {taken.name} on the network, too",
        why=f"requests for {taken.whose} would go to either of them",
        cure=f"take that alias away from {taken.also}, or use another network",
    )


def forwarding_changes(facts: HostFacts, family: int) -> Refusal | None:
    """The engine would make a router of a host that is none, and nothing puts that back."""
    name = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}[family]
    if facts.sysctls.get(name, "1") != "0" or not forwards_with_network(facts.engine.version_tuple, family):
        return None
    if configured(facts, "ip-forward") is False or flag_of(facts, "ip-forward") == "false":
        return None
    if family == 6:
        also, cure = (
            "; a host that has its IPv6 routes by advertisement would lose them",
            "user_network: without subnet6",
        )
    else:
        also, cure = "; FORWARD's policy becomes DROP", f"set {name} to 1 yourself, or name a network that exists"
    return Refusal(
        code="forwarding-would-change",
        what=f"with the network, the engine would set {name} to 1 on this host",
        why=f"it does so when it makes a network with IPv{family}, and never sets it back{also}",
        cure=cure,
    )


def no_free_subnet(count: int) -> Refusal:
    """Every range is used, or routed somewhere."""
    return Refusal(
        code="no-subnet",
        what=f"no private range is free for a network of {count} containers",
        why="the routes and networks of this host leave none (a VPN's wide routes, often)",
        cure="user_network: {name: ..., subnet: a range that nobody uses}",
    )


def subnet_collides(subnet: IPv4Network | IPv6Network, taken: Taken) -> Refusal:
    """The spec's subnet is somebody else's."""
    return Refusal(
        code="subnet-collides",
        what=f"the subnet {subnet} overlaps with {taken.subnet}, {taken.what}",
        why="packets for one of the two would go to the other",
        cure="user_network: another subnet, or none: remedy chooses one that is free",
    )


def subnet_too_small(subnet: IPv4Network | IPv6Network, containers: int) -> Refusal:
    """Too few addresses."""
    return Refusal(
        code="subnet-too-small",
        what=f"the subnet {subnet} is too small for {containers} containers and a gateway",
        why="each container needs an address",
        cure="user_network: a larger subnet, or none: remedy chooses one",
    )


def not_running(container: Container) -> Refusal:
    """A load balancer without processes."""
    return Refusal(
        code="load-balancer-stopped",
        what=f"the load balancer {container.name} does not run",
        why="its names can only be tried, and its servers only be moved, while it runs",
        cure=f"docker start {shlex.quote(container.name)}",
    )
