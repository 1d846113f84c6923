"""The names by which the load balancer asks for its backends, on a network where the engine's DNS answers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from remedy.facts.model import Container, Endpoint, HostFacts
from remedy.plan.selection import PROJECT_LABEL, SERVICE_LABEL
from remedy.plan.user_network.choice import is_user_defined_bridge

LONGEST_LABEL, LONGEST_NAME = 63, 253
_LABEL = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST_LABEL}}}")
# What libc takes for an address: 10.1.2.3, but 7 and 0x7f.1 as well.
_NUMBER = re.compile(r"(?:0[xX])?[0-9A-Fa-f]+|[0-9]+")
_SHORT_ID = 12
Service = tuple[str, str]
Answered = Mapping[str, frozenset[str]]  # names in lower case -> ids of the containers that answer to them


@dataclass(frozen=True, slots=True)
class SharedName:
    """A name that two containers answer to."""

    name: str
    whose: str
    also: str


@dataclass(frozen=True, slots=True)
class Names:
    """names: container id -> what haproxy asks for; aliases: container id -> what it must be given when it joins.

    service_aliases: one name for all members of a compose service, and nobody else. taken: names with two owners.
    """

    names: dict[str, str]
    aliases: dict[str, tuple[str, ...]]
    service_aliases: dict[Service, str]
    taken: tuple[SharedName, ...]


def choose_names(facts: HostFacts, network: str, balancer: Container, members: Sequence[Container]) -> Names:
    """A name for each member. Those of members that are on the network already are what the engine answers to now."""
    answered = _answered(c for c in _with_endpoints(facts) if c[1].network_name == network)
    # A replica that compose has made and could not start answers to its service's alias, too, once it runs.
    services = _service_aliases(network, members, answered, facts.containers)
    unsafe = _known_to_libc(balancer)
    elsewhere = _answered_elsewhere(facts, network, balancer)
    names: dict[str, str] = {}
    aliases: dict[str, tuple[str, ...]] = {}
    for member in members:
        own = _own_name(member, endpoint_on(member, network), unsafe)
        alias = services.get(service_of(member) or ("", ""))
        aliases[member.id] = tuple(name for name in (own, alias) if name is not None and name != member.name)
        names[member.id] = own
    taken = tuple(_taken(facts, members, names, answered))
    # The engine's DNS takes the network's name as it is written, and haproxy asks in small letters.
    if network == network.lower():
        names = {id_: f"{name}.{network}" if name.lower() in elsewhere else name for id_, name in names.items()}
    return Names(names, aliases, services, taken)


def endpoint_on(container: Container, network: str) -> Endpoint | None:
    """The container's endpoint on the network of that name."""
    return next((e for e in container.endpoints if e.network_name == network), None)


def service_of(container: Container) -> Service | None:
    """The compose project and service that the container belongs to."""
    project, service = container.labels.get(PROJECT_LABEL), container.labels.get(SERVICE_LABEL)
    return (project, service) if project and service else None


def is_safe_name(name: str) -> bool:
    """Whether haproxy and DNS take it as a host's name.

    The engine's DNS answers to dots, underscores and capitals, whatever their case (20.10, 26.1, 28.5).
    """
    labels = name.split(".")
    return (
        len(name) <= LONGEST_NAME
        and all(_LABEL.fullmatch(label) for label in labels)
        and not all(_NUMBER.fullmatch(label) and label[0].isdigit() for label in labels)
    )


def safe_alias(name: str) -> str:
    """A name for a container whose own one is none for DNS: readable, and unique by its digest."""
    return f"{_readable(name)[:45]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _readable(name: str) -> str:
    return re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-") or "container"


def _own_name(member: Container, present: Endpoint | None, unsafe: frozenset[str]) -> str:
    if is_safe_name(member.name) and member.name.lower() not in unsafe:
        return member.name
    alias = safe_alias(member.name)
    if present is None or alias in present.aliases:
        return alias
    # It is on the network already, and an alias is given on joining only.
    usable = (name for name in present.aliases if is_safe_name(name) and name.lower() not in unsafe)
    return next(usable, alias)


def _known_to_libc(balancer: Container) -> frozenset[str]:
    """Names that /etc/hosts in the load balancer answers to, before anybody asks the engine's DNS."""
    named = (entry.partition(":")[0].lower() for entry in balancer.extra_hosts)
    return frozenset({"localhost", "ip6-localhost", "ip6-loopback", balancer.id[:_SHORT_ID], *named})


def _with_endpoints(facts: HostFacts) -> Iterator[tuple[Container, Endpoint]]:
    for container in facts.containers:
        for endpoint in container.endpoints:
            yield container, endpoint


def _answered(places: Iterable[tuple[Container, Endpoint]]) -> Answered:
    """What the engine's DNS answers to at these places."""
    found: dict[str, set[str]] = {}
    for container, endpoint in places:
        for name in (container.name, container.id[:_SHORT_ID], *endpoint.aliases, *endpoint.dns_names):
            found.setdefault(name.lower(), set()).add(container.id)
    return {name: frozenset(ids) for name, ids in found.items()}


def _answered_elsewhere(facts: HostFacts, network: str, balancer: Container) -> Answered:
    """What it answers to on the load balancer's other networks: the first network that knows a name answers."""
    with_dns = {n.name for n in facts.networks if is_user_defined_bridge(n) or n.driver in ("overlay", "macvlan")}
    others = {endpoint.network_name for endpoint in balancer.endpoints} & with_dns - {network}
    return _answered(place for place in _with_endpoints(facts) if place[1].network_name in others)


def _service_aliases(
    network: str, members: Sequence[Container], answered: Answered, everybody: Iterable[Container]
) -> dict[Service, str]:
    theirs: dict[Service | None, set[str]] = {}
    for container in everybody:
        theirs.setdefault(service_of(container), set()).add(container.id)
    by_service: dict[Service, list[Container]] = {}
    for member in members:
        service = service_of(member)
        if service is not None:
            by_service.setdefault(service, []).append(member)
    names = {member.name.lower() for member in members}
    found: dict[Service, str] = {}
    for service, containers in by_service.items():
        ids = frozenset(theirs[service])
        present = [e for e in (endpoint_on(container, network) for container in containers) if e is not None]
        for alias in _candidates(service, present):
            is_theirs = answered.get(alias.lower(), ids) <= ids and alias.lower() not in names
            # Those that are on the network already cannot be given another one.
            is_given = all(alias in endpoint.aliases for endpoint in present)
            if is_theirs and is_given and alias not in found.values():
                found[service] = alias
                break
    return found


def _candidates(service: Service, present: Sequence[Endpoint]) -> list[str]:
    wanted = _readable("-".join(service))[:LONGEST_LABEL].rstrip("-")
    known = sorted({alias for endpoint in present for alias in endpoint.aliases if is_safe_name(alias)})
    return [wanted, service[1], *known] if present else [wanted, safe_alias("-".join(service))]


def _taken(
    facts: HostFacts, members: Sequence[Container], names: Mapping[str, str], answered: Answered
) -> Iterator[SharedName]:
    by_id = {container.id: container.name for container in facts.containers}
    owners: dict[str, str] = {}
    for member in members:
        key = names[member.id].lower()
        others = [id_ for id_ in (owners.get(key), *sorted(answered.get(key, ()))) if id_ not in (None, member.id)]
        owners.setdefault(key, member.id)
        if others:
            yield SharedName(names[member.id], member.name, by_id.get(others[0] or "", "another container"))
