"""Who is known to use a published port: an open socket, a conntrack entry, a haproxy server, a probe, a watch.

Pure: everything comes from facts and spec. That nobody is known does not prove that there is nobody; the
planner says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from remedy.facts.model import Address, Connection, Container, HaproxyFacts, HaproxyServer, HostFacts, Protocol
from remedy.paths.published import PublishedPort, container_by_address, host_addresses
from remedy.spec.models import HostPort, Spec

EXTERNAL = "external"
HOST = "host"
# A connection that ended by a reset, as remedy's own probes do; conntrack keeps it for ten seconds.
RESET = "CLOSE"


@dataclass(frozen=True, slots=True)
class Consumer:
    """A client and the host address and port it uses.

    name: a container's name, `host` or `external`. known_by says which evidence, for people.
    """

    name: str
    container: Container | None
    to: HostPort
    port: PublishedPort
    known_by: str
    client_address: Address | None = None

    @property
    def source(self) -> str:
        """The client as the datapath is asked for it."""
        return self.name if self.container is None else f"container:{self.name}"

    @property
    def is_outside(self) -> bool:
        """Whether it is another machine."""
        return self.container is None and self.name == EXTERNAL


class _Host:
    """Look-up tables over the facts, made once."""

    def __init__(self, facts: HostFacts, ports: tuple[PublishedPort, ...]) -> None:
        self.facts = facts
        self.own = host_addresses(facts)
        self.containers = container_by_address(facts)
        self.by_name = {container.name: container for container in facts.containers}
        self.by_id = {container.id: container for container in facts.containers}
        self.by_port: dict[tuple[Protocol, int], list[PublishedPort]] = {}
        for port in ports:
            self.by_port.setdefault((port.protocol, port.port), []).append(port)

    def published_at(self, to: HostPort) -> PublishedPort | None:
        candidates = self.by_port.get((to.protocol, to.port), ())
        matching = [port for port in candidates if port.covers(to.address, to.port, to.protocol)]
        exact = [port for port in matching if port.host_address == to.address]
        return next(iter(exact or matching), None)

    def consumer(
        self, client: Container | str, to: HostPort, known_by: str, source: Address | None = None
    ) -> Consumer | None:
        """The consumer of a published port; None when `to` is not one of this host's."""
        if to.address not in self.own and not to.address.is_loopback:
            return None
        port = self.published_at(to)
        if port is None:
            return None
        if isinstance(client, str):
            return Consumer(client, None, to, port, known_by, source)
        return Consumer(client.name, client, to, port, known_by, source)


def known_consumers(facts: HostFacts, spec: Spec, ports: tuple[PublishedPort, ...]) -> tuple[Consumer, ...]:
    """Every known consumer of a published port, each (who, to) once, with its best evidence first."""
    host = _Host(facts, ports)
    found: dict[tuple[str, str], Consumer] = {}
    sources = (
        _from_haproxy(host),
        _from_probes(host, spec),
        _from_sockets(host),
        _from_conntrack(host),
        _from_observed(host),
    )
    for consumers in sources:
        for consumer in consumers:
            found.setdefault((consumer.name, str(consumer.to)), consumer)
    return tuple(found.values())


def _from_haproxy(host: _Host) -> Iterator[Consumer]:
    for haproxy in host.facts.haproxies:
        client: Container | str = HOST
        if haproxy.container_id is not None:
            if haproxy.container_id not in host.by_id:
                continue
            client = host.by_id[haproxy.container_id]
        yield from _haproxy_servers(host, haproxy, client)


def _haproxy_servers(host: _Host, haproxy: HaproxyFacts, client: Container | str) -> Iterator[Consumer]:
    for server in haproxy.servers:
        if server.port is None:
            continue
        for address in server_addresses(server, None if isinstance(client, str) else client):
            evidence = f"server {server.proxy}/{server.name} at {server.file}:{server.line}"
            to = HostPort(address=address, port=server.port)
            consumer = host.consumer(client, to, evidence)
            if consumer is not None:
                yield consumer


def server_addresses(server: HaproxyServer, container: Container | None) -> tuple[Address, ...]:
    """The addresses that a server's host means to its haproxy (container None: one of the host), each once.

    A number is itself; a name is what /etc/hosts, or the container's extra_hosts, say. () for any other name.
    """
    return tuple(dict.fromkeys((*server.addresses, *_addresses_of(server.host, container))))


def _addresses_of(name: str, container: Container | None) -> tuple[Address, ...]:
    try:
        return (ip_address(name),)
    except ValueError:
        pass  # a name
    if name == "localhost":
        return (IPv4Address("127.0.0.1"), IPv6Address("::1"))
    if container is None:
        return ()
    pairs = (entry.partition(":") for entry in container.extra_hosts)
    return tuple(_parsed(address for host, _, address in pairs if host == name))


def _parsed(texts: Iterable[str]) -> Iterator[Address]:
    for text in texts:
        try:
            yield ip_address(text.strip("[]"))
        except ValueError:
            continue  # "host-gateway" and the like: the engine resolves it, /etc/hosts says to what


def _from_probes(host: _Host, spec: Spec) -> Iterator[Consumer]:
    for probe in spec.probes:
        client = host.by_name.get(probe.from_, probe.from_)
        if isinstance(client, str) and client not in (HOST, EXTERNAL):
            continue
        consumer = host.consumer(client, HostPort.parse(probe.to), "a probe of the spec")
        if consumer is not None:
            yield consumer


def _from_sockets(host: _Host) -> Iterator[Consumer]:
    proxies = {proxy.pid: proxy for proxy in host.facts.docker_proxies}
    for space in host.facts.namespaces:
        if not space.is_host:
            continue
        for connection in space.connections:
            proxy = proxies.get(connection.pid or 0)
            if proxy is None or connection.local_port != proxy.host_port:
                continue  # the proxy's own connection to the container has another local port
            consumer = _accepted_by_proxy(host, connection, proxy.pid)
            if consumer is not None:
                yield consumer


def _accepted_by_proxy(host: _Host, connection: Connection, pid: int) -> Consumer | None:
    local, remote = _unmapped(connection.local_address), _unmapped(connection.remote_address)
    to = HostPort(address=local, port=connection.local_port)
    return host.consumer(_client_at(host, remote), to, f"a connection that docker-proxy {pid} holds", remote)


def _from_conntrack(host: _Host) -> Iterator[Consumer]:
    for entry in host.facts.conntrack.entries:
        if entry.destination_port is None or entry.protocol not in tuple(Protocol):
            continue
        to = HostPort(address=entry.destination, port=entry.destination_port, protocol=Protocol(entry.protocol))
        if entry.unreplied or entry.state == RESET:
            continue
        consumer = host.consumer(
            _client_at(host, entry.source),
            to,
            f"a conntrack entry ({entry.state or 'no state'})",
            entry.source,
        )
        if consumer is not None:
            yield consumer


def _from_observed(host: _Host) -> Iterator[Consumer]:
    seen = host.facts.observed
    for item in () if seen is None else seen.consumers:
        client = (
            item.client if item.client in (HOST, EXTERNAL) else host.by_name.get(item.client.removeprefix("container:"))
        )
        if client is None:
            continue  # its container is gone
        to = HostPort(address=item.to_address, port=item.to_port, protocol=item.protocol)
        times = "once" if item.count == 1 else f"{item.count} times"
        evidence = f"seen by `remedy doctor --observe` {times}, last at {item.last_seen:%Y-%m-%d %H:%M:%S} UTC"
        consumer = host.consumer(client, to, evidence, item.address)
        if consumer is not None:
            yield consumer


def _client_at(host: _Host, address: Address) -> Container | str:
    if address.is_loopback or address in host.own:
        return HOST
    return host.containers.get(address, EXTERNAL)


def _unmapped(address: Address) -> Address:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
