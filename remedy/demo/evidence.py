"""What facts say of docker-proxy: which processes, whose connections run through them, what conntrack keeps of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from remedy.facts.model import Address, ConntrackEntry, HostFacts


@dataclass(frozen=True, slots=True)
class ProxiedPort:
    """A published port that docker-proxy serves. clients: who is connected to it now, and how often."""

    port: int
    container: str
    pids: tuple[int, ...]
    clients: tuple[tuple[str, int], ...]
    sockets: int
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class Flow:
    """Tracked connections of one kind, in words: from, to, and what the kernel makes of it."""

    source: str
    destination: str
    translation: str
    count: int


class Names:
    """Addresses as a person calls them."""

    def __init__(self, facts: HostFacts) -> None:
        self._names: dict[Address, str] = {}
        for space in facts.namespaces:
            if space.is_host:
                self._names |= {known.address.ip: "the host" for known in space.addresses}
        for container in facts.containers:
            for endpoint in container.endpoints:
                for interface in (endpoint.ipv4, endpoint.ipv6):
                    if interface is not None:
                        self._names[interface.ip] = container.name

    def of(self, address: Address) -> str:
        """The container's name, "the host", or the address itself."""
        return self._names.get(address, str(address))


def proxied_ports(facts: HostFacts) -> tuple[ProxiedPort, ...]:
    """The ports that docker-proxy serves, by number; its IPv4 and IPv6 processes together."""
    names = Names(facts)
    ports = sorted({(p.host_port, p.container_address) for p in facts.docker_proxies}, key=lambda p: (p[0], str(p[1])))
    return tuple(_proxied(facts, names, port, address) for port, address in ports)


def _proxied(facts: HostFacts, names: Names, port: int, address: Address) -> ProxiedPort:
    proxies = [p for p in facts.docker_proxies if (p.host_port, p.container_address) == (port, address)]
    pids = {proxy.pid for proxy in proxies}
    held = [c for space in facts.namespaces if space.is_host for c in space.connections if c.pid in pids]
    clients: Counter[str] = Counter()
    for connection in held:
        if connection.local_port == port:
            clients[names.of(connection.remote_address)] += connection.count
    return ProxiedPort(
        port=port,
        container=names.of(address),
        pids=tuple(sorted(pids)),
        clients=tuple(clients.most_common()),
        sockets=sum(connection.count for connection in held),
        resident_bytes=sum(proxy.resident_bytes or 0 for proxy in proxies),
    )


def backend_flows(facts: HostFacts, port: int) -> tuple[Flow, ...]:
    """What conntrack keeps of the established connections to the container that publishes `port`, most first."""
    names = Names(facts)
    backends = {
        endpoint.ipv4.ip
        for container in facts.containers
        if any(binding.host_port == port for binding in container.ports)
        for endpoint in container.endpoints
        if endpoint.ipv4 is not None
    }
    flows: Counter[tuple[str, str, str]] = Counter()
    for entry in facts.conntrack.entries:
        if entry.state == "ESTABLISHED" and (entry.destination_port == port or entry.destination in backends):
            flows[_in_words(entry, names)] += entry.count
    return tuple(Flow(*words, count) for words, count in flows.most_common())


def _in_words(entry: ConntrackEntry, names: Names) -> tuple[str, str, str]:
    destination = f"{entry.destination}:{entry.destination_port}"
    known = names.of(entry.destination)
    if known not in ("the host", str(entry.destination)):
        destination += f" ({known})"
    return names.of(entry.source), destination, "".join(_translation(entry, names)) or "none"


def _translation(entry: ConntrackEntry, names: Names) -> Iterator[str]:
    if (entry.reply_source, entry.reply_source_port) != (entry.destination, entry.destination_port):
        yield f"DNAT to {names.of(entry.reply_source)}:{entry.reply_source_port}"
    if entry.reply_destination != entry.source:
        yield f", masqueraded as {entry.reply_destination}"
