"""Which container each of haproxy's servers leads to: by the packet walk, never by what a name looks like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from remedy.facts.model import Address, Container, HaproxyServer, Protocol
from remedy.paths.consumers import server_addresses
from remedy.paths.published import PublishedPort, container_by_address
from remedy.paths.walk import Datapath
from remedy.spec.models import HostPort


@dataclass(frozen=True, slots=True)
class Target:
    """Where a server leads: a container and the port in it. addresses: those that lead there, as haproxy uses them."""

    container: Container
    port: int
    check_port: int | None
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Led:
    """A server that leads to exactly one container."""

    server: HaproxyServer
    target: Target


@dataclass(frozen=True, slots=True)
class ByName:
    """A server that names a container already."""

    server: HaproxyServer
    container_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """A server that is not touched, and why."""

    server: HaproxyServer
    why: str


class Mapper:
    """Asks the datapath where the servers of one haproxy lead."""

    def __init__(self, path: Datapath, haproxy: Container, ports: Iterable[PublishedPort]) -> None:
        self._path = path
        self._haproxy = haproxy
        self._containers = container_by_address(path.facts)
        self._ports: dict[tuple[str, int], list[PublishedPort]] = {}
        for port in ports:
            self._ports.setdefault((port.container.name, port.port), []).append(port)

    def lead(self, server: HaproxyServer, names: Mapping[str, tuple[str, ...]]) -> Led | ByName | LeftAlone:
        """Where the server leads.

        names: what the engine's DNS answers to on the network, in lower case -> ids of the containers.
        """
        addresses = server_addresses(server, self._haproxy)
        if not addresses and server.host.lower() in names:
            return ByName(server, names[server.host.lower()])
        if server.port is None:
            return LeftAlone(server, "it has no port of its own: it uses the one that the client asked for")
        if not addresses:
            return LeftAlone(server, f"{server.host} is neither an address nor a container's name on the network")
        found = {address: self._container_port(address, server.port) for address in addresses}
        reached = {key: place for key, place in found.items() if place is not None}
        places = {(container.id, port): (container, port) for container, port in reached.values()}
        if not places:
            return LeftAlone(server, f"{server.host}:{server.port} leads to no container of this host")
        if len(places) > 1:
            several = ", ".join(f"{container.name}:{port}" for container, port in places.values())
            return LeftAlone(server, f"{server.host}:{server.port} leads to more than one container: {several}")
        container, port = next(iter(places.values()))
        return self._with_check(server, container, port, tuple(reached))

    def _with_check(
        self, server: HaproxyServer, container: Container, port: int, addresses: tuple[Address, ...]
    ) -> Led | LeftAlone:
        if server.check_port is None or server.check_port == server.port:
            check = None if server.check_port is None else port
            return Led(server, Target(container, port, check, addresses))
        checked = self.port_of(container, addresses, server.check_port)
        if checked is None:
            return LeftAlone(server, f"its check port {server.check_port} does not lead to {container.name}")
        return Led(server, Target(container, port, checked, addresses))

    def port_of(self, container: Container, addresses: Iterable[Address], port: int) -> int | None:
        """The container's port that `port` at these addresses leads to; None when it leads elsewhere."""
        for address in addresses:
            place = self._container_port(address, port)
            if place is not None and place[0].id == container.id:
                return place[1]
        return None

    def _container_port(self, address: Address, port: int) -> tuple[Container, int] | None:
        verdict = self._path.connect(f"container:{self._haproxy.name}", HostPort(address=address, port=port))
        container = self._path.topology.by_name.get(verdict.by or "")
        if not verdict.reachable or container is None:
            return None
        if self._containers.get(address) is container:
            return container, port
        for published in self._ports.get((container.name, port), ()):
            if published.covers(address, port, Protocol.TCP):
                return container, published.to_port
        return None
