"""Who was seen using a published port during a watch: counted by client and port, named at the moment of seeing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from remedy.facts.flow_events import NewFlow
from remedy.facts.model import Address, HostFacts, ObservedConsumer, Protocol, Subnet
from remedy.facts.sockets import RawSocket
from remedy.paths.clients import CONTAINER_PREFIX, EXTERNAL, HOST
from remedy.paths.published import container_by_address, host_addresses

MOST_SIGHTINGS = 5_000
Key = tuple[str, Address, int, Protocol]
_Ends = tuple[Address, int, Address, int]


class Names:
    """Who has which address, as the host is at one moment."""

    def __init__(self, facts: HostFacts) -> None:
        self._own = host_addresses(facts)
        self._containers = container_by_address(facts)
        self._subnets: tuple[Subnet, ...] = tuple(subnet for network in facts.networks for subnet in network.subnets)
        bindings = [port for container in facts.containers if container.is_running for port in container.ports]
        self._published = {(port.protocol, port.host_port) for port in bindings}
        self.ports = frozenset(port.host_port for port in bindings)
        self.proxied = frozenset(proxy.host_port for proxy in facts.docker_proxies)

    def is_published(self, protocol: Protocol, address: Address, port: int) -> bool:
        """Whether this is a published port at an address of the host."""
        return (protocol, port) in self._published and (address.is_loopback or address in self._own)

    def name(self, address: Address) -> str | None:
        """The client at an address; None for a container's that is not known (yet, or any more)."""
        if address.is_loopback or address in self._own:
            return HOST
        container = self._containers.get(address)
        if container is not None:
            ambiguous = container.name in (HOST, EXTERNAL)
            return f"{CONTAINER_PREFIX}{container.name}" if ambiguous else container.name
        return None if any(address in subnet for subnet in self._subnets) else EXTERNAL


@dataclass(slots=True)
class _Sighting:
    address: Address
    first: datetime
    last: datetime
    announced: int = 0
    sockets: int = 0
    open_at_start: int = 0
    ended: int = 0

    @property
    def count(self) -> int:
        """A connection may be announced, have a socket, and then be in TIME-WAIT: it is counted once."""
        return max(self.sockets, self.ended, self.announced + self.open_at_start)


class Sightings:
    """Collects; `take` hands over what came since the last time. Bounded by clients, not by connections."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.strangers: set[Address] = set()
        self._found: dict[Key, _Sighting] = {}
        self._open: set[_Ends] | None = None
        self._ended: dict[tuple[Address, Address, int], int] = {}
        self.connections = 0

    @property
    def keys(self) -> set[Key]:
        """The clients, and what they used, since the last `take`."""
        return set(self._found)

    def add_flows(self, flows: Iterable[tuple[NewFlow, int]], now: datetime) -> None:
        """Flows that the kernel announced, and how many of each."""
        for flow, number in flows:
            found = self._at(flow.source, flow.destination, flow.port, flow.protocol, now)
            if found is not None:
                found.announced += number
                self.connections += number

    def add_sockets(self, sockets: Iterable[RawSocket], now: datetime, *, are_announced: bool) -> None:
        """The connections that the host's own processes hold now; docker-proxy's are those on its ports."""
        own = {
            (s.local_address, s.local_port, s.remote_address, s.remote_port)
            for s in sockets
            if s.local_port in self.names.proxied
        }
        is_first = self._open is None
        for local, port, remote, _ in own - (self._open or set()):
            found = self._at(remote, local, port, Protocol.TCP, now)
            if found is not None:
                found.sockets += 1
                found.open_at_start += is_first
                self.connections += is_first or not are_announced
        for local, port, remote, _ in own & (self._open or set()):
            self._at(remote, local, port, Protocol.TCP, now)
        self._open = own

    def add_ended(self, sockets: Iterable[RawSocket], now: datetime) -> None:
        """Connections in TIME-WAIT, at docker-proxy's end or at that of a client of the host's."""
        ended: dict[tuple[Address, Address, int], int] = {}
        for socket in sockets:
            if socket.local_port in self.names.proxied:
                key = socket.remote_address, socket.local_address, socket.local_port
            else:
                key = socket.local_address, socket.remote_address, socket.remote_port
            ended[key] = ended.get(key, 0) + socket.count
        for key, number in ended.items():
            more = number - self._ended.get(key, 0)
            if more > 0:
                found = self._at(*key, Protocol.TCP, now)
                if found is not None:
                    found.ended += more
        self._ended = ended

    def name_again(self, names: Names) -> None:
        """The host was looked at again: who was a stranger may have a name now. Nobody is looked for twice."""
        self.names = names
        for key, seen in list(self._found.items()):
            name = names.name(seen.address)
            if key[0] == _stranger(seen.address) and name is not None:
                known = self._found.pop(key)
                self._found.setdefault((name, *key[1:]), known)
        self.strangers = set()

    def take(self) -> tuple[ObservedConsumer, ...]:
        """What was seen since the last time. One that is only still open counts no second time."""
        taken = tuple(
            ObservedConsumer(
                client=client,
                address=seen.address,
                to_address=to,
                to_port=port,
                protocol=protocol,
                first_seen=seen.first,
                last_seen=seen.last,
                count=seen.count,
            )
            for (client, to, port, protocol), seen in self._found.items()
        )
        self._found = {}
        return taken

    def _at(self, source: Address, to: Address, port: int, protocol: Protocol, now: datetime) -> _Sighting | None:
        if not self.names.is_published(protocol, to, port):
            return None
        client = self.names.name(source)
        if client is None:
            self.strangers.add(source)
            client = _stranger(source)
        key = (client, to, port, protocol)
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= MOST_SIGHTINGS:
                return None
            found = self._found[key] = _Sighting(source, now, now)
        found.address, found.last = source, now
        return found


def _stranger(address: Address) -> str:
    """How a container is called whose name is not known."""
    return f"{CONTAINER_PREFIX}{address}"
