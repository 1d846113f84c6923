"""How the load balancer's configuration reaches a backend, by the packet walk: straight, or through somebody's NAT."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from remedy.facts.model import Container, HaproxyServer, HostFacts, Protocol
from remedy.paths.consumers import server_addresses
from remedy.paths.names import addresses_of_name
from remedy.paths.published import PublishedPort, container_by_address
from remedy.paths.telling import translations
from remedy.paths.verdict import Verdict
from remedy.paths.walk import Datapath
from remedy.plan.rewiring.mapping import Led, Mapper
from remedy.plan.selection import BackendContainer
from remedy.spec.models import HostPort


@dataclass(frozen=True, slots=True)
class Way:
    """One address by which a server of haproxy's reaches a backend, and how its packets travel there and back."""

    server: HaproxyServer
    to: HostPort
    verdict: Verdict

    @property
    def is_straight(self) -> bool:
        """Whether nobody translates it."""
        return self.verdict.via == "direct" and not translations(self.verdict)


class Ways:
    """The ways of one load balancer on the host of a datapath. A haproxy that is not known has none."""

    def __init__(self, path: Datapath, balancer: Container, ports: tuple[PublishedPort, ...]) -> None:
        self._path, self._balancer = path, balancer
        self._source = f"container:{balancer.name}"
        mapper = Mapper(path, balancer, ports)
        servers = tuple(_servers(path.facts, balancer))
        self._led: dict[tuple[str, int], list[Led]] = {}
        self._named: dict[int | None, list[HaproxyServer]] = {}  # which lead nowhere, or whose addresses nobody knows
        for server in servers:
            answer = mapper.lead(server, {})
            if isinstance(answer, Led):
                self._led.setdefault((answer.target.container.id, answer.target.port), []).append(answer)
            else:
                self._named.setdefault(server.port, []).append(server)
        self._owners = container_by_address(path.facts)

    def to(self, backend: BackendContainer) -> Iterator[Way]:
        """Every address that is configured, as a number or as a name that the engine's DNS knows."""
        for server, to in self._ends(backend) if backend.protocol is Protocol.TCP else ():
            yield Way(server, to, self._path.connect(self._source, to))

    def _ends(self, backend: BackendContainer) -> Iterator[tuple[HaproxyServer, HostPort]]:
        for led in self._led.get((backend.container.id, backend.port), ()):
            for address in server_addresses(led.server, self._balancer):
                yield led.server, HostPort(address=address, port=led.server.port or backend.port)
        for server in self._named.get(backend.port, ()):
            for address in addresses_of_name(self._path.facts, self._balancer.name, server.host):
                owner = self._owners.get(address)
                if owner is not None and owner.id == backend.container.id:
                    yield server, HostPort(address=address, port=backend.port)


def _servers(facts: HostFacts, balancer: Container) -> Iterator[HaproxyServer]:
    for haproxy in facts.haproxies:
        if haproxy.container_id == balancer.id:
            yield from haproxy.servers
