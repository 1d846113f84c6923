"""Which services of a compose project need the override to stay on the network, and which cannot have it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from remedy.facts.model import ComposeProject, Container, HostFacts
from remedy.plan.compose_override.text import NetworkKey, Stay, services_in
from remedy.plan.selection import PROJECT_LABEL, SERVICE_LABEL

NETWORK_LABEL = "com.docker.compose.network"
VERSION_LABEL = "com.docker.compose.version"
BRIDGE_MODES = ("bridge", "default")
RESET_SINCE = (2, 18)  # compose's !reset
Services = Mapping[str, Sequence[Container]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller wants of the network. names: container id -> the name under which haproxy finds it there."""

    network: str
    aliases: Mapping[tuple[str, str], str]
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Stays:
    """The services of one project. modes: service -> the network_mode that allows no other network."""

    network: NetworkKey
    stays: tuple[Stay, ...] = ()
    modes: tuple[tuple[str, str], ...] = ()
    too_old: tuple[str, ...] = ()

    @property
    def leaving(self) -> tuple[str, ...]:
        """The services that leave the engine's default bridge at their next recreation."""
        return tuple(stay.service for stay in self.stays if stay.leaves_bridge)


def by_project(members: Sequence[Container]) -> dict[str, dict[str, list[Container]]]:
    """project -> service -> its containers among the members."""
    found: dict[str, dict[str, list[Container]]] = {}
    for member in members:
        project, service = member.labels.get(PROJECT_LABEL), member.labels.get(SERVICE_LABEL)
        if project and service:
            found.setdefault(project, {}).setdefault(service, []).append(member)
    return found


def compose_project(facts: HostFacts, name: str) -> ComposeProject | None:
    """What is known of the project's files."""
    return next((project for project in facts.compose_projects if project.name == name), None)


def stays_of(facts: HostFacts, project: str, services: Services, wanted: Wanted) -> Stays:
    """What the project's override has to say; nothing where its own files keep the services on the network."""
    known = compose_project(facts, project)
    written = services_in(known.override.raw if known is not None and known.override is not None else None)
    found: list[Stay] = []
    modes: list[tuple[str, str]] = []
    too_old: list[str] = []
    for service, containers in sorted(services.items()):
        first = containers[0]
        if service not in written and all(_is_placed(wanted.network, service, c) for c in containers):
            continue
        if _shares_or_has_none(first):
            modes.append((service, first.network_mode))
            continue
        # Once compose has made it again, it is on the default network, and its file still says `bridge`.
        leaves = first.network_mode in BRIDGE_MODES or written.get(service, False)
        if leaves and not _knows_reset(first):
            too_old.append(service)
            continue
        keys = ("default",) if leaves else tuple(_keys(facts, project, known, first))
        aliases = tuple(_aliases(project, service, containers, wanted))
        found.append(Stay(service, keys, aliases, leaves_bridge=leaves))
    return Stays(_key(facts, project, wanted.network), tuple(found), tuple(modes), tuple(too_old))


def _is_placed(network: str, service: str, container: Container) -> bool:
    """Whether compose itself has put the container there: it gives the service's name as an alias, everywhere."""
    return any(e.network_name == network and service in (*e.aliases, *e.dns_names) for e in container.endpoints)


def _shares_or_has_none(container: Container) -> bool:
    mode = container.network_mode
    return mode in ("host", "none") or mode.startswith("container:")


def _knows_reset(container: Container) -> bool:
    version = container.labels.get(VERSION_LABEL, "")
    words = version.removeprefix("v").split(".")
    if len(words) < 2 or not (words[0].isdecimal() and words[1].isdecimal()):
        return True  # unknown: compose is asked before the file is left in place
    return (int(words[0]), int(words[1])) >= RESET_SINCE


def _key(facts: HostFacts, project: str, network_name: str) -> NetworkKey:
    """How the project's files call the network: by their own key where it is theirs."""
    taken = set()
    for network in facts.networks:
        if network.labels.get(PROJECT_LABEL) == project:
            key = network.labels.get(NETWORK_LABEL, "default")
            if network.name == network_name:
                return NetworkKey(key, network_name, is_external=False)
            taken.add(key)
    free = network_name
    while free in taken:
        free += "-shared"
    return NetworkKey(free, network_name)


def _keys(facts: HostFacts, project: str, known: ComposeProject | None, container: Container) -> Iterator[str]:
    """The project's networks that the container is on, by the keys of its files, each once.

    One that is external under a key of its own needs no mention: whoever names it in a file keeps it.
    """
    default = known.default_network if known is not None else None
    networks = {network.id: network for network in facts.networks}
    found: dict[str, None] = {}
    for endpoint in container.endpoints:
        network = networks.get(endpoint.network_id)
        if network is not None and network.labels.get(PROJECT_LABEL) == project:
            found[network.labels.get(NETWORK_LABEL, "default")] = None
        elif default is not None and endpoint.network_name == default:
            found["default"] = None
    yield from found


def _aliases(project: str, service: str, containers: Sequence[Container], wanted: Wanted) -> Iterator[str]:
    """The service's alias, and the only container's own where haproxy knows it by another name than Docker's."""
    alias = wanted.aliases.get((project, service))
    if alias is not None:
        yield alias
    # NAME.NETWORK is answered to without an alias.
    name = wanted.names.get(containers[0].id, "").removesuffix(f".{wanted.network}")
    if len(containers) == 1 and name and name not in (containers[0].name, alias):
        yield name
