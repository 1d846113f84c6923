"""Who balances load on this host, and onto which containers: read from the facts and the known paths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from remedy.facts.model import Container, HaproxyFacts, HaproxyServer, HostFacts, PortBinding, Protocol
from remedy.spec.models import Backend, HostPort, UnitRef

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
HOST = "host"


@dataclass(frozen=True, slots=True)
class SeenPath:
    """A known consumer of a published port, as the planner sees it: who, to which address, served by whom."""

    from_: str
    to: str
    container: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class LoadBalancerFound:
    """The load balancer to name, if any. name: who it is in probes and paths; reasons: for the comment."""

    reference: str | UnitRef | None
    name: str | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Containers that serve the same port. addresses: where the load balancer reaches them."""

    backend: Backend
    addresses: tuple[str, ...]
    reasons: tuple[str, ...]


def find_load_balancer(facts: HostFacts, paths: Sequence[SeenPath]) -> LoadBalancerFound:
    """Return the haproxy that reaches the most published ports of this host."""
    candidates = [
        (haproxy, [*_paths_of(haproxy, facts, paths), *_servers_by_name(haproxy, facts)]) for haproxy in facts.haproxies
    ]
    candidates = [(haproxy, used) for haproxy, used in candidates if _name_of(haproxy, facts) is not None]
    if not candidates:
        return LoadBalancerFound(None, None, ("No haproxy was found on this host.",))
    chosen, used = max(candidates, key=lambda candidate: len(candidate[1]))
    name = _name_of(chosen, facts)
    container = _container(chosen, facts)
    where = f"container {name}" if container is not None else f"{chosen.unit} on the host"
    reasons = [f"haproxy in {where} has {len(used)} ways to containers of this host."]
    if container is not None and SERVICE_LABEL in container.labels:
        project, service = container.labels.get(PROJECT_LABEL, ""), container.labels[SERVICE_LABEL]
        reasons.append(f"By compose service it is {{project: {project}, service: {service}}}.")
    others = [other for haproxy, _ in candidates if (other := _name_of(haproxy, facts)) not in (None, name)]
    if others:
        reasons.append(f"There are others, less used: {', '.join(map(str, others))}.")
    if chosen.problem:
        reasons.append(f"Its configuration was read only in part: {chosen.problem}")
    if container is not None:
        return LoadBalancerFound(container.name, container.name, tuple(reasons))
    return LoadBalancerFound(UnitRef(unit=str(chosen.unit)), HOST, tuple(reasons))


def find_groups(facts: HostFacts, balancer: LoadBalancerFound, paths: Sequence[SeenPath]) -> tuple[Group, ...]:
    """Return what the load balancer reaches by container port; without one, all that is published."""
    if balancer.name is not None:
        haproxy = next(h for h in facts.haproxies if _name_of(h, facts) == balancer.name)
        by_name = list(_servers_by_name(haproxy, facts))
        groups = tuple(_groups_of(balancer.name, _paths_of(haproxy, facts, paths), by_name, facts))
        if groups:
            return groups
    return tuple(_published_groups(facts, balancer.name))


def _container(haproxy: HaproxyFacts, facts: HostFacts) -> Container | None:
    return next((c for c in facts.containers if c.id == haproxy.container_id), None)


def _name_of(haproxy: HaproxyFacts, facts: HostFacts) -> str | None:
    container = _container(haproxy, facts)
    if container is not None:
        return container.name
    return HOST if haproxy.container_id is None and haproxy.unit is not None else None


def _paths_of(haproxy: HaproxyFacts, facts: HostFacts, paths: Sequence[SeenPath]) -> list[SeenPath]:
    name = _name_of(haproxy, facts)
    if name != HOST:
        return [path for path in paths if path.from_ == name]
    # The host itself has other consumers too: only what the configuration names is the load balancer's.
    named = {text for server in haproxy.servers for text in _spelled(server)}
    return [path for path in paths if path.from_ == HOST and path.to in named]


def _spelled(server: HaproxyServer) -> Iterator[str]:
    if server.port is None:
        return
    for address in (*server.addresses, *(("127.0.0.1", "::1") if server.host == "localhost" else (server.host,))):
        try:
            yield str(HostPort(address=ip_address(address), port=server.port))
        except ValueError:
            continue


def _servers_by_name(haproxy: HaproxyFacts, facts: HostFacts) -> Iterator[tuple[Container, int]]:
    """Servers that name a container, or an alias of several, on a network that the haproxy is on too."""
    own = _container(haproxy, facts)
    joined = {endpoint.network_id for endpoint in own.endpoints} if own is not None else set()
    wanted: dict[str, set[int]] = {}
    for server in haproxy.servers:
        if server.port is not None:
            wanted.setdefault(server.host.lower(), set()).add(server.port)
    for container in facts.containers:
        shared = [endpoint for endpoint in container.endpoints if endpoint.network_id in joined]
        names = {name.lower() for e in shared for name in (container.name, *e.aliases, *e.dns_names)}
        for port in sorted({port for name in names for port in wanted.get(name, ())}):
            yield container, port


def _groups_of(
    name: str, paths: Sequence[SeenPath], by_name: Sequence[tuple[Container, int]], facts: HostFacts
) -> Iterator[Group]:
    containers = {container.name: container for container in facts.containers}
    members: dict[tuple[int, Protocol], dict[str, list[str]]] = {}
    for path in paths:
        binding = _binding_at(containers.get(path.container), HostPort.parse(path.to))
        if binding is not None and path.container != name:
            of_port = members.setdefault((binding.container_port, binding.protocol), {})
            of_port.setdefault(path.container, []).append(path.to)
    for container, port in by_name:
        members.setdefault((port, Protocol.TCP), {}).setdefault(container.name, [])
    for (port, protocol), reached in members.items():
        addresses = tuple(address for found in reached.values() for address in dict.fromkeys(found))
        yield Group(
            Backend(containers=tuple(reached), port=port, protocol=protocol),
            addresses,
            (f"Reached by {name} at {_listed(addresses)}." if addresses else f"Reached by {name} by name.",),
        )


def _binding_at(container: Container | None, to: HostPort) -> PortBinding | None:
    for binding in container.ports if container is not None else ():
        if (binding.host_port, binding.protocol) != (to.port, to.protocol):
            continue
        if binding.host_address.is_unspecified or binding.host_address == to.address:
            return binding
    return None


def _published_groups(facts: HostFacts, balancer: str | None) -> Iterator[Group]:
    members: dict[tuple[str, str, int, Protocol], dict[str, list[str]]] = {}
    for container in facts.containers:
        if not container.is_running or container.name == balancer:
            continue
        service = container.labels.get(SERVICE_LABEL, "")
        project = container.labels.get(PROJECT_LABEL, "") if service else ""
        for binding in container.ports:
            if binding.host_port:
                key = (project, service if project else "", binding.container_port, binding.protocol)
                published = str(HostPort(address=binding.host_address, port=binding.host_port))
                members.setdefault(key, {}).setdefault(container.name, []).append(published)
    for (project, service, port, protocol), found in members.items():
        addresses = [address for published in found.values() for address in published]
        reason = (f"Published at {_listed(addresses)}.",)
        if project:
            backend = Backend(project=project, service=service, port=port, protocol=protocol)
        else:
            backend = Backend(containers=tuple(found), port=port, protocol=protocol)
        yield Group(backend, (), reason)


def _listed(addresses: Sequence[str], most: int = 6) -> str:
    shown = ", ".join(addresses[:most])
    return shown if len(addresses) <= most else f"{shown} and {len(addresses) - most} more"
