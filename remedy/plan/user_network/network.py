"""plan_network: a pure function from facts and the spec's options to who joins which network, by which name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

from remedy.facts.model import Container, HostFacts, Network, Subnet
from remedy.plan.actions import Action, ConnectNetwork, CreateNetwork, NetworkMember
from remedy.plan.model import PlanWarning, Refusal
from remedy.plan.user_network import obstacles
from remedy.plan.user_network.choice import Choice, choose, families
from remedy.plan.user_network.default_route import would_move
from remedy.plan.user_network.names import Names, choose_names, endpoint_on
from remedy.plan.user_network.subnets import RESERVED, collision, free_subnet, taken_ranges
from remedy.spec.models import UserNetworkOptions

SHOWN = 8
LABELS = {"remedy.managed": "user_network"}
Prefer = Literal["ipv4", "ipv6"]


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """The network that load balancer and backends share, what brings it about, and the names on it.

    actions: empty where all are on it already. resolve_prefer: which address haproxy takes of a name that has both, or
    IPv6 only. names: container id -> the name that haproxy asks for. service_aliases: (compose project, service) -> one
    name that all its members on the network answer to; a service that has none is left out.
    """

    name: str
    actions: tuple[Action, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[PlanWarning, ...] = ()
    resolve_prefer: Prefer | None = None
    names: dict[str, str] = field(default_factory=dict)
    service_aliases: dict[tuple[str, str], str] = field(default_factory=dict)


def plan_network(
    facts: HostFacts, load_balancer: Container, members: Sequence[Container], options: UserNetworkOptions
) -> NetworkPlan:
    """The network for these containers. Members that do not run are left out, with a warning.

    What is unsafe stands in `refusals`, and then there are no actions.
    """
    running = tuple({c.id: c for c in members if c.is_running and c.id != load_balancer.id}.values())
    together = (load_balancer, *running)
    choice = choose(facts, together, options.name)
    names = choose_names(facts, choice.name, load_balancer, together)
    refusals = [*obstacles.host_refusals(facts), *obstacles.container_refusals(together)]
    if not load_balancer.is_running:
        refusals.append(obstacles.not_running(load_balancer))
    joining = tuple(container for container in together if endpoint_on(container, choice.name) is None)
    if choice.existing is None:
        subnets, problems = _subnets(facts, together, options)
        actions: tuple[Action, ...] = (_create(choice.name, subnets, together),) if subnets else ()
    else:
        subnets, actions = choice.existing.subnets, ()
        problems = [*obstacles.network_refusals(choice.existing, facts.networks)]
        problems += _moved_routes(facts, choice.existing, joining)
    refusals += [*problems, *(obstacles.name_is_taken(taken) for taken in names.taken)]
    if joining:
        actions = (*actions, _connect(choice, joining, names))
    present = families(choice.existing) if choice.existing is not None else frozenset(s.version for s in subnets)
    return NetworkPlan(
        name=choice.name,
        actions=() if refusals else actions,
        refusals=tuple(refusals),
        warnings=(
            *_warnings(choice, options, members),
            *_about_aliases(choice, running, names),
            *_about_neighbours(choice, together, joining),
        ),
        resolve_prefer="ipv6" if present == {6} else "ipv4" if present == {4, 6} else None,
        names=names.names,
        service_aliases=names.service_aliases,
    )


def _subnets(
    facts: HostFacts, together: Sequence[Container], options: UserNetworkOptions
) -> tuple[tuple[Subnet, ...], list[Refusal]]:
    """The new network's, and what speaks against those that the spec names."""
    taken = taken_ranges(facts, [container.id for container in together])
    subnet = options.subnet or free_subnet(facts, taken, len(together))
    wanted: list[Subnet] = [s for s in (subnet, options.subnet6) if s is not None]
    refusals = [] if subnet is not None else [obstacles.no_free_subnet(len(together))]
    for each in wanted:
        forwarding = obstacles.forwarding_changes(facts, each.version)
        if forwarding is not None:
            refusals.append(forwarding)
        hit = collision(each, taken)
        if hit is not None:
            refusals.append(obstacles.subnet_collides(each, hit))
        if each.num_addresses < len(together) + RESERVED:
            refusals.append(obstacles.subnet_too_small(each, len(together)))
    return tuple(wanted), refusals


def _moved_routes(facts: HostFacts, network: Network, joining: Sequence[Container]) -> Iterator[Refusal]:
    networks = {each.id: each for each in facts.networks}
    moved = [c for c in joining if would_move(c, network, networks, facts.engine.version_tuple)]
    if moved:
        yield obstacles.default_route_moves(network, moved)


def _create(name: str, subnets: tuple[Subnet, ...], together: Sequence[Container]) -> CreateNetwork:
    ranges = " and ".join(map(str, subnets))
    return CreateNetwork(
        id="create_network",
        summary=f"create the internal network {name}, {ranges}",
        reason=f"load balancer and backends ({len(together)} containers) reach each other on it directly, by name; "
        "an internal network never carries a default route, so nobody's published ports move",
        before=f"no network {name}",
        after=f"{name}, internal, {ranges}",
        inverse=f"remove the network {name}",
        name=name,
        internal=True,
        subnets=subnets,
        labels=dict(LABELS),
    )


def _connect(choice: Choice, joining: Sequence[Container], names: Names) -> ConnectNetwork:
    shown = ", ".join(container.name for container in joining[:SHOWN]) + (" ..." if len(joining) > SHOWN else "")
    several = f"{len(joining)} containers" if len(joining) > 1 else joining[0].name
    return ConnectNetwork(
        id="connect_network",
        summary=f"connect {several} to {choice.name}",
        reason="the engine's DNS answers to containers' names on user-defined networks; each container gets one more "
        "interface, live, and keeps its default route",
        before=f"not on {choice.name}: {shown}",
        after=f"on {choice.name}: {shown}",
        inverse=f"disconnect {several} from {choice.name}",
        network=choice.name,
        members=tuple(
            NetworkMember(container=c.name, container_id=c.id, aliases=names.aliases.get(c.id, ())) for c in joining
        ),
    )


def _warnings(choice: Choice, options: UserNetworkOptions, members: Sequence[Container]) -> Iterator[PlanWarning]:
    if choice.instead_of is not None:
        yield PlanWarning(
            code="common-network",
            what=f"{choice.name} is used instead of {choice.instead_of}: all are on it already",
            detail=f"nobody has to be connected; say user_network: {choice.name} to have it in writing",
        )
    asked = [s for s in (options.subnet, options.subnet6) if s is not None]
    if choice.existing is not None and any(subnet not in choice.existing.subnets for subnet in asked):
        has = ", ".join(map(str, choice.existing.subnets))
        yield PlanWarning(
            code="subnet-ignored",
            what=f"the network {choice.name} is there already, with {has}",
            detail="subnet and subnet6 are for a network that remedy makes",
        )
    stopped = sorted({container.name for container in members if not container.is_running})
    if stopped:
        yield PlanWarning(
            code="member-stopped",
            what=f"not connected to {choice.name}, because it does not run: {', '.join(stopped[:SHOWN])}",
            detail="plan again once it runs",
        )


def _about_aliases(choice: Choice, members: Sequence[Container], names: Names) -> Iterator[PlanWarning]:
    for member in members:
        alias = names.names[member.id].removesuffix(f".{choice.name}")
        if alias != member.name:
            yield PlanWarning(
                code="alias-needed",
                what=f"{member.name!r} is no name that haproxy can ask for: it is {alias} on {choice.name}",
                detail="whoever makes this container again must give it that alias, or haproxy does not find it",
            )


def _about_neighbours(
    choice: Choice, backends: Sequence[Container], joining: Sequence[Container]
) -> Iterator[PlanWarning]:
    """Backends of different networks become neighbours, as nothing but the load balancer needs them to be."""
    if not joining:
        return
    networks = [frozenset(endpoint.network_id for endpoint in container.endpoints) for container in backends]
    if any(one.isdisjoint(other) for one, other in combinations(set(networks), 2)):
        yield PlanWarning(
            code="new-neighbours",
            what=f"backends that share no network today reach all of each other's ports on {choice.name}",
            detail="not only those that are published, or that the load balancer uses; keep them apart by leaving one "
            "group out of the spec's backends",
        )
