"""Who asks: the client of a connection, by the name that people give it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address

from remedy.errors import InputError
from remedy.facts.model import Address, Container
from remedy.paths.topology import Space, Topology
from remedy.spec.models import HostPort

# Documentation's addresses: only a default route leads there.
_FAR_AWAY = {4: ip_address("192.0.2.1"), 6: ip_address("2001:db8::1")}
HOST, EXTERNAL = "host", "external"
MOST_OF_A_LINK = 2  # a point-to-point link has no other neighbour
CONTAINER_PREFIX = "container:"


class UnknownSourceError(InputError):
    """There is no such client on this host."""


@dataclass(frozen=True, slots=True)
class Client:
    """Where a connection begins: in a namespace, or (space None) outside, on an interface of the host."""

    name: str
    space: Space | None
    interface: str = ""


class Clients:
    """The clients of one host's connections."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology

    def named(self, source: str, to: HostPort, address: Address | None) -> Client:
        """The client called `source`: a container, `host`, `external`. Raises UnknownSourceError, UnknownRoute."""
        if source == HOST:
            return Client(HOST, self.topology.host)
        if source == EXTERNAL:
            return self._outsider(to, address)
        name = source.removeprefix(CONTAINER_PREFIX)
        container = self.topology.by_name.get(name)
        space = None if container is None else self.topology.space_of(container)
        if container is None or space is None:
            raise self._no_such_client(name, container)
        is_ambiguous = name in (HOST, EXTERNAL)
        return Client(f"{CONTAINER_PREFIX}{name}" if is_ambiguous else name, space)

    def _no_such_client(self, name: str, container: Container | None) -> UnknownSourceError:
        if container is not None and container.is_running:
            why = "its network namespace is not among the facts"
            return UnknownSourceError(
                f"container {name} cannot be looked into", why=why, next_step="run remedy as root"
            )
        if container is not None:
            what, why = f"container {name} does not run", f"its state is {container.state}"
            return UnknownSourceError(what, why=why, next_step=f"docker start {shlex.quote(name)}, or name another")
        running = [each.name for each in self.topology.facts.containers if each.is_running]
        near = get_close_matches(name, [*running, HOST, EXTERNAL], n=1)
        hint = f"did you mean {near[0]}?" if near else "docker ps lists them; or say host, or external"
        return UnknownSourceError(f"no running container is called {name!r}", next_step=hint)

    def _outsider(self, to: HostPort, address: Address | None) -> Client:
        known = address or self.gateway(to.address.version)
        if known is None:
            raise UnknownSourceError(
                f"which machine outside? The host has no default route for IPv{to.address.version}",
                next_step="give the client's address: --client ADDRESS",
            )
        route = self.topology.host.routing.lookup(known)
        if route.kind != "unicast" or route.interface is None:
            raise UnknownSourceError(f"the host has no way to {known}")
        return Client(EXTERNAL, None, route.interface)

    def gateway(self, version: int) -> Address | None:
        """What stands for machines outside: the host's default gateway, or else a neighbour on its LAN."""
        route = self.topology.host.routing.lookup(_FAR_AWAY[version])
        if route.kind != "unicast" or route.next_hop is None:
            return self._neighbour(version)
        # IPv6's routers have link-local addresses, from which nobody comes who is far away.
        return _FAR_AWAY[version] if route.next_hop.is_link_local else route.next_hop

    def _neighbour(self, version: int) -> Address | None:
        for item in self.topology.host.facts.addresses:
            network, own = item.address.network, item.address.ip
            is_lan = item.interface not in self.topology.bridges and item.scope == "global" and not own.is_loopback
            if own.version == version and is_lan and network.num_addresses > MOST_OF_A_LINK:
                return next((address for address in network.hosts() if address != own), None)
        return None
