"""The actions of `user_network`: the network, who joins it, haproxy's configuration, and what makes it stay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from remedy.facts.model import Container, HaproxyFacts, HostFacts, Protocol
from remedy.paths.published import PublishedPort
from remedy.paths.walk import Datapath
from remedy.plan.compose_override import plan_overrides
from remedy.plan.foresight import facts_after
from remedy.plan.model import PlanWarning
from remedy.plan.part import Part
from remedy.plan.rewiring.haproxy_action import rewire_action
from remedy.plan.rewiring.mapping import ByName, Led, LeftAlone, Mapper
from remedy.plan.rewiring.new_way import NewWay
from remedy.plan.rewiring.obstacles import haproxy_refusals, no_load_balancer
from remedy.plan.selection import Selected
from remedy.plan.user_network import NetworkPlan, plan_network
from remedy.spec.models import Spec, UserNetworkOptions

SHOWN = 8


def plan_rewiring(
    spec: Spec, facts: HostFacts, selected: Selected, ports: Sequence[PublishedPort], today: Datapath
) -> Part:
    """What leads the load balancer to its backends by name. What is unsafe stands in `refusals`."""
    options = spec.remedies.user_network_options
    if options is None:
        return Part()
    balancer = selected.load_balancer
    if balancer is None:
        return Part(refusals=(no_load_balancer(selected.load_balancer_unit),))
    haproxy = next((h for h in facts.haproxies if h.container_id == balancer.id and h.pid is not None), None)
    members = _members(selected, balancer)
    refusals = tuple(haproxy_refusals(facts, balancer, haproxy, members))
    if haproxy is None or refusals:
        return Part(refusals=refusals)
    return _with_network(spec, options, facts, (balancer, haproxy), members, Mapper(today, balancer, ports))


def _members(selected: Selected, balancer: Container) -> tuple[Container, ...]:
    """The running backends of the spec that serve TCP, each once."""
    found = {
        backend.container.id: backend.container
        for backend in selected.backends
        if backend.protocol is Protocol.TCP and backend.container.is_running and backend.container.id != balancer.id
    }
    return tuple(found.values())


def _with_network(
    spec: Spec,
    options: UserNetworkOptions,
    facts: HostFacts,
    balanced: tuple[Container, HaproxyFacts],
    members: Sequence[Container],
    mapper: Mapper,
) -> Part:
    balancer, haproxy = balanced
    network = plan_network(facts, balancer, members, options)
    known = names_on(network, facts, members)
    answers = [mapper.lead(server, known) for server in haproxy.servers]
    wanted = {member.id for member in members}
    led = [a for a in answers if isinstance(a, Led) and a.target.container.id in wanted]
    by_name = [a for a in answers if isinstance(a, ByName)]
    alone = [*_not_led(answers, wanted)]
    new_way = NewWay(Datapath(facts_after(facts, network.actions)), balancer, members, network.name)
    edited = rewire_action(spec, balanced, led, network, options, new_way)
    is_of_use = edited.is_possible and bool(edited.actions or by_name)
    joining = network.actions if is_of_use else ()
    overrides, stay = (
        plan_overrides(facts, network.name, (balancer, *members), network.service_aliases, network.names)
        if is_of_use
        else ((), ())
    )
    warnings = (*network.warnings, *edited.warnings, *_about_servers([*alone, *edited.left_alone]), *stay)
    if edited.is_possible and not is_of_use:
        warnings = (*warnings, _useless(haproxy))
    return Part((*joining, *edited.actions, *overrides), (*network.refusals, *edited.refusals), warnings)


def names_on(network: NetworkPlan, facts: HostFacts, members: Sequence[Container]) -> dict[str, tuple[str, ...]]:
    """What the engine's DNS will answer to on the network, in lower case -> the containers' ids."""
    found: dict[str, list[str]] = {}
    for container in facts.containers:
        for endpoint in container.endpoints:
            if endpoint.network_name == network.name:
                for name in (container.name, *endpoint.aliases, *endpoint.dns_names):
                    _add(found, name, container.id)
    for member in members:
        _add(found, member.name, member.id)
        _add(found, network.names.get(member.id, member.name), member.id)
        alias = service_alias(member, network.service_aliases)
        if alias is not None:
            _add(found, alias, member.id)
    return {name: tuple(ids) for name, ids in found.items()}


def service_alias(container: Container, aliases: Mapping[tuple[str, str], str]) -> str | None:
    """The alias that all containers of this one's compose service share."""
    labels = container.labels
    return aliases.get((labels.get("com.docker.compose.project", ""), labels.get("com.docker.compose.service", "")))


def _add(found: dict[str, list[str]], name: str, container_id: str) -> None:
    ids = found.setdefault(name.lower(), [])
    if container_id not in ids:
        ids.append(container_id)


def _not_led(answers: Sequence[Led | ByName | LeftAlone], wanted: set[str]) -> Iterator[LeftAlone]:
    for answer in answers:
        if isinstance(answer, LeftAlone):
            yield answer
        elif isinstance(answer, Led) and answer.target.container.id not in wanted:
            yield LeftAlone(answer.server, f"it leads to {answer.target.container.name}, which is none of the backends")


def _about_servers(alone: Sequence[LeftAlone]) -> Iterator[PlanWarning]:
    for item in alone[:SHOWN]:
        server = item.server
        yield PlanWarning(
            code="server-left-alone",
            what=f"server {server.proxy}/{server.name} at {server.file}:{server.line} stays as it is",
            detail=item.why,
        )
    if len(alone) > SHOWN:
        yield PlanWarning(code="server-left-alone", what=f"{len(alone) - SHOWN} more servers stay as they are")


def _useless(haproxy: HaproxyFacts) -> PlanWarning:
    return PlanWarning(
        code="user-network-without-servers",
        what="user_network adds nothing: no server of haproxy can be led to a backend of the spec",
        detail=f"{len(haproxy.servers)} servers were read from {', '.join(haproxy.config_files) or 'no file'}",
    )
