"""plan_network: an existing network where one serves, else a new internal one; who joins it, and under which names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from remedy.facts.model import Container, HostFacts, Network, Subnet
from remedy.paths.published import ICC_OPTION
from remedy.plan.model import Action, ConnectNetwork, CreateNetwork, NetworkMember, PlanWarning, Refusal
from remedy.plan.user_network.gateway import moved_by_joining
from remedy.plan.user_network.names import Service, names_for, service_aliases, service_of, shared_alias
from remedy.plan.user_network.subnets import collision, free_subnet, used_subnets
from remedy.spec.models import UserNetworkOptions

DEFAULT_NETWORK = "bridge"
MANAGED_LABEL = "remedy.managed"
LABELS = {MANAGED_LABEL: "user_network"}


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """The network that is used, and what brings everybody onto it.

    actions: empty where all are on it. resolve_prefer: ipv4 on a dual-stack network, ipv6 on one without IPv4. names:
    container id -> its name there. service_aliases: (project, service) -> what all its containers there are called.
    """

    name: str
    actions: tuple[Action, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[PlanWarning, ...] = ()
    resolve_prefer: Literal["ipv4", "ipv6"] | None = None
    names: dict[str, str] = field(default_factory=dict)
    service_aliases: dict[Service, str] = field(default_factory=dict)


def plan_network(
    facts: HostFacts, load_balancer: Container, members: Sequence[Container], options: UserNetworkOptions
) -> NetworkPlan:
    """The network for these containers. What is unsafe stands in `refusals`."""
    everybody = (load_balancer, *members)
    refusals = tuple(_cannot_join(everybody))
    if facts.engine.swarm:
        refusals = (*refusals, _swarm())
    if refusals:
        return NetworkPlan(options.name, refusals=refusals)
    network = _named(facts, options.name)
    common = network or _common(facts, everybody)
    if common is None:
        return _new_network(facts, everybody, options)
    plan = _existing_network(facts, everybody, common)
    return plan if network is not None else replace(plan, warnings=(*plan.warnings, _instead(common, options)))


def _named(facts: HostFacts, name: str) -> Network | None:
    return next((network for network in facts.networks if network.name == name), None)


def _common(facts: HostFacts, everybody: Sequence[Container]) -> Network | None:
    """A user-defined bridge network that all of them are on already; of several the first by name."""
    joined = [{endpoint.network_id for endpoint in container.endpoints} for container in everybody]
    shared = set.intersection(*joined)
    fitting = [n for n in facts.networks if n.id in shared and n.driver == "bridge" and n.name != DEFAULT_NETWORK]
    usable = [network for network in fitting if network.options.get(ICC_OPTION) != "false"]
    return min(usable, key=lambda network: network.name, default=None)


def _existing_network(facts: HostFacts, everybody: Sequence[Container], network: Network) -> NetworkPlan:
    taken = _names_on(facts, network)
    joining = [c for c in everybody if all(e.network_id != network.id for e in c.endpoints)]
    names = names_for(everybody, taken)
    aliases = _aliases(everybody, joining, taken)
    refusals = tuple(_unfit(facts, network, joining))
    action = _connect(network.name, joining, names, aliases)
    six, four = network.enable_ipv6, any(subnet.version == 4 for subnet in network.subnets)
    return NetworkPlan(
        network.name,
        (action,) if action is not None and not refusals else (),
        refusals,
        (),
        "ipv6" if six and not four else "ipv4" if six else None,
        {c.id: names[c.id] for c in everybody},
        aliases,
    )


def _aliases(
    everybody: Sequence[Container], joining: Sequence[Container], taken: dict[str, set[str]]
) -> dict[Service, str]:
    """Aliases for services whose containers all join now, or that all have one in common already."""
    fresh = {container.id for container in joining}
    members: dict[Service, set[str]] = {}
    for container in everybody:
        service = service_of(container)
        if service is not None:
            members.setdefault(service, set()).add(container.id)
    new = service_aliases([c for c in everybody if c.id in fresh], taken)
    found: dict[Service, str] = {}
    for service, ids in members.items():
        present = shared_alias(ids, taken, service[1]) or shared_alias(ids, taken, f"{service[0]}-{service[1]}")
        known = {id_ for id_ in ids if id_ in taken.get(new.get(service, ""), set())}
        if present is not None:
            found[service] = present
        elif service in new and ids - fresh <= known:
            found[service] = new[service]
    return found


def _new_network(facts: HostFacts, everybody: Sequence[Container], options: UserNetworkOptions) -> NetworkPlan:
    used = list(used_subnets(facts, everybody))
    wanted = options.subnet or free_subnet(facts, everybody, len(everybody))
    if wanted is None:
        return NetworkPlan(options.name, refusals=(_no_subnet(),))
    subnets: tuple[Subnet, ...] = (wanted,) if options.subnet6 is None else (wanted, options.subnet6)
    refusals = tuple(_collides(subnet, what) for subnet in subnets if (what := collision(subnet, used)) is not None)
    names = names_for(everybody, {})
    aliases = service_aliases(everybody, {})
    create = CreateNetwork(
        id="create_network",
        summary=f"create the internal network {options.name}, {', '.join(map(str, subnets))}",
        reason="on a user-defined network containers find each other by name; an internal one never gives anybody a "
        "default route, so no published port moves",
        before="no such network",
        after=f"a bridge of its own, {', '.join(map(str, subnets))}, no way out",
        inverse=f"remove {options.name}, if nobody else has joined",
        name=options.name,
        internal=True,
        subnets=subnets,
        labels=dict(LABELS),
    )
    connect = _connect(options.name, everybody, names, aliases)
    actions = () if refusals or connect is None else (create, connect)
    prefer: Literal["ipv4"] | None = "ipv4" if options.subnet6 is not None else None
    return NetworkPlan(options.name, actions, refusals, (), prefer, names, aliases)


def _connect(
    network: str, joining: Sequence[Container], names: dict[str, str], aliases: dict[Service, str]
) -> ConnectNetwork | None:
    if not joining:
        return None
    members = tuple(
        NetworkMember(
            container=container.name,
            container_id=container.id,
            aliases=tuple(
                dict.fromkeys(
                    alias
                    for alias in (names[container.id], aliases.get(service_of(container) or ("", "")))
                    if alias is not None and alias != container.name
                )
            ),
        )
        for container in joining
    )
    return ConnectNetwork(
        id="connect_network",
        summary=f"connect {len(members)} container{'s' * (len(members) > 1)} to {network}",
        reason="the load balancer reaches them there without NAT; what they are on already stays",
        before="not on it",
        after=", ".join(member.container for member in members[:8]) + (" ..." if len(members) > 8 else ""),
        inverse=f"disconnect from {network} whoever was not on it",
        network=network,
        members=members,
    )


def _names_on(facts: HostFacts, network: Network) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for container in facts.containers:
        for endpoint in container.endpoints:
            if endpoint.network_id == network.id:
                for name in (container.name, *endpoint.aliases, *endpoint.dns_names):
                    found.setdefault(name.lower(), set()).add(container.id)
    return found


def _cannot_join(everybody: Sequence[Container]) -> Iterator[Refusal]:
    for container in everybody:
        mode = container.network_mode
        if mode in ("host", "none") or mode.startswith("container:"):
            yield Refusal(
                code="cannot-join",
                what=f"{container.name} cannot join a network: its network mode is {mode.partition(':')[0]}",
                why="the engine connects only containers that have a network namespace of their own",
                cure="leave user_network out, or start it with a network of its own",
            )


def _unfit(facts: HostFacts, network: Network, joining: Sequence[Container]) -> Iterator[Refusal]:
    if network.driver != "bridge" or network.name == DEFAULT_NETWORK or network.bridge is None:
        what = (
            "is the default network, where no names are answered"
            if network.name == DEFAULT_NETWORK
            else (f"is no bridge network but {network.driver}")
        )
        yield Refusal(
            code="network-unfit",
            what=f"the network {network.name} {what}",
            why="remedy knows the ways of user-defined bridge networks only",
            cure="name another, or one that does not exist yet: remedy creates it",
        )
        return
    if network.options.get(ICC_OPTION) == "false":
        yield Refusal(
            code="network-unfit",
            what=f"containers on {network.name} may not talk to each other (enable_icc: false)",
            why="the engine drops what goes from its bridge to its bridge",
            cure="name another network, or one that does not exist yet: remedy creates it",
        )
    for name, present in moved_by_joining(facts, joining, network):
        yield Refusal(
            code="default-route-would-move",
            what=f"{name} would get its default route from {network.name}, and its published ports would move there",
            why=f"the engine gives it to the network whose name sorts first, and {network.name!r} sorts before "
            f"{present!r}; connections in flight would be reset"
            if present != "no network"
            else f"it has none today, and {network.name} is not internal",
            cure="name a network that sorts after it, or one that does not exist yet: remedy creates an internal one, "
            "which never carries the default route",
        )


def _swarm() -> Refusal:
    return Refusal(
        code="swarm",
        what="this engine is part of a swarm",
        why="a service's networks belong to the swarm's managers",
        cure="leave user_network out, and give the service a network: docker service update --network-add",
    )


def _no_subnet() -> Refusal:
    return Refusal(
        code="no-subnet",
        what="no free subnet was found for a new network",
        why="every range that remedy would take overlaps with a route, an address or a network of this host",
        cure="name one that is free: user_network: {name: ..., subnet: 10.99.0.0/24}",
    )


def _collides(subnet: Subnet, what: str) -> Refusal:
    return Refusal(
        code="subnet-collides",
        what=f"the subnet {subnet} collides with {what}",
        why="whoever is reached there today would be looked for on the new network",
        cure="name another subnet, or leave it out: remedy chooses one that is free",
    )


def _instead(network: Network, options: UserNetworkOptions) -> PlanWarning:
    return PlanWarning(
        code="common-network",
        what=f"{network.name} is used instead of {options.name}: all are on it already",
        detail=f"nobody has to be connected; say user_network: {network.name} to have it in writing",
    )
