"""What is connected with what: namespaces, bridges, the containers behind their ports, and who listens where."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from remedy.facts.model import (
    Address,
    BridgePort,
    Container,
    DockerProxy,
    HostFacts,
    ListeningSocket,
    NetNamespace,
    Protocol,
)
from remedy.host.sysctls import conf_name
from remedy.netfilter.packet import Packet
from remedy.paths.routing import Routing, UnknownRoute

LOOPBACK = "lo"
BRIDGE_NETFILTER = {4: "net.bridge.bridge-nf-call-iptables", 6: "net.bridge.bridge-nf-call-ip6tables"}
PROXY_PROGRAM, ENGINE_PROGRAM = "docker-proxy", "dockerd"


class Space:
    """A network namespace with its routing and its listeners."""

    def __init__(self, facts: NetNamespace) -> None:
        self.facts = facts
        self.is_host = facts.is_host
        self.links = {link.name: link for link in facts.links}
        self._listeners: dict[tuple[Protocol, int], list[ListeningSocket]] = {}
        for socket in facts.listening:
            self._listeners.setdefault((socket.protocol, socket.port), []).append(socket)

    @cached_property
    def routing(self) -> Routing:
        """Its routing tables."""
        return Routing(self.facts)

    def listener(self, protocol: Protocol, address: Address, port: int) -> ListeningSocket | None:
        """The socket that gets a connection: bound to the address, to all of its family, to all of both."""
        best: tuple[int, ListeningSocket] | None = None
        for socket in self._listeners.get((protocol, port), ()):
            rank = _rank(socket, address)
            if rank and (best is None or rank > best[0]):
                best = rank, socket
        return None if best is None else best[1]


def _rank(socket: ListeningSocket, address: Address) -> int:
    if socket.address == address:
        return 3
    if not socket.address.is_unspecified:
        return 0
    if socket.address.version == address.version:
        return 2
    # An IPv6 socket takes IPv4 as well, unless it was told not to (net.ipv6.bindv6only, IPV6_V6ONLY).
    return 1 if address.version == 4 and not socket.v6only else 0


@dataclass(frozen=True, slots=True)
class Attachment:
    """A container's interface on a bridge of the host."""

    bridge: str
    port: BridgePort
    space: Space
    interface: str


@dataclass(frozen=True, slots=True)
class OnWire:
    """A container's interface that shares an interface of the host, its parent: macvlan or ipvlan.

    What it sends and gets passes by the host: no rule, no routing table of the host sees it, and the host itself
    and its children do not hear each other (drivers/net/macvlan.c, drivers/net/ipvlan/ipvlan_core.c).
    """

    parent: str
    space: Space
    interface: str


ON_WIRE = frozenset({"macvlan", "ipvlan"})


class Topology:
    """Look-up tables over the facts. Building them is linear in what the facts hold."""

    def __init__(self, facts: HostFacts) -> None:
        self.facts = facts
        self.spaces = {space.inode: Space(space) for space in facts.namespaces}
        self.host = next(space for space in self.spaces.values() if space.is_host)
        self._space_of = {id_: space for space in self.spaces.values() for id_ in space.facts.containers}
        self.containers = {container.id: container for container in facts.containers}
        self.by_name = {container.name: container for container in facts.containers}
        self.bridges = {link.name for link in self.host.facts.links if link.kind == "bridge"}
        self.bridges |= {port.bridge for port in facts.bridge_ports}
        self.bridges |= {network.bridge for network in facts.networks if network.bridge}
        self.proxies = {proxy.pid: proxy for proxy in facts.docker_proxies}
        self.published = {(p.protocol, p.host_port) for c in facts.containers if c.is_running for p in c.ports}
        self._bridge_subnets = [(s, n.name) for n in facts.networks if n.driver == "bridge" for s in n.subnets]
        self.bridge_table = _table_of_bridges(facts)
        self._attachments: dict[tuple[int, str], Attachment] = {}
        self._neighbours: dict[tuple[str, Address], Attachment] = {}
        self._on_wire: dict[tuple[int, str], OnWire] = {}
        self._wired: dict[Address, OnWire] = {}
        self._attach()
        self._put_on_wires()

    def _attach(self) -> None:
        index_of = {link.name: link.index for link in self.host.facts.links}
        for port in self.facts.bridge_ports:
            space = self._space_of.get(port.container_id or "")
            index = index_of.get(port.interface)
            if space is None or space.is_host or index is None:
                continue
            inside = next((link for link in space.facts.links if link.peer_index == index), None)
            if inside is None:
                continue
            attachment = Attachment(port.bridge, port, space, inside.name)
            self._attachments[space.facts.inode, inside.name] = attachment
            for item in space.facts.addresses:
                if item.interface == inside.name:
                    self._neighbours[port.bridge, item.address.ip] = attachment

    def _put_on_wires(self) -> None:
        names = {link.index: link.name for link in self.host.facts.links}
        for space in self.spaces.values():
            links = () if space.is_host else space.facts.links
            for link in (link for link in links if link.kind in ON_WIRE and link.peer_index in names):
                wired = OnWire(names[link.peer_index or 0], space, link.name)
                self._on_wire[space.facts.inode, link.name] = wired
                own = (item.address.ip for item in space.facts.addresses if item.interface == link.name)
                self._wired |= dict.fromkeys(own, wired)

    def space_of(self, container: Container) -> Space | None:
        """The namespace of a running container."""
        return self._space_of.get(container.id)

    def attachment(self, space: Space, interface: str) -> Attachment | None:
        """Where an interface of a container is plugged in; None when it is not on a bridge of this host."""
        return self._attachments.get((space.facts.inode, interface))

    def on_wire(self, space: Space, interface: str) -> OnWire | None:
        """The wire that an interface of a container is on; None when it is on none of the host's."""
        return self._on_wire.get((space.facts.inode, interface))

    def wired(self, address: Address, parent: str) -> OnWire | None:
        """The container that answers for an address on the wire of an interface of the host."""
        found = self._wired.get(address)
        return found if found is not None and found.parent == parent else None

    def neighbour(self, bridge: str, address: Address) -> Attachment | None:
        """Who answers for an address on a bridge."""
        return self._neighbours.get((bridge, address))

    def network_without_way(self, address: Address) -> str | None:
        """The bridge network whose subnet has the address; asked of what leaves the host, so it has no route there.

        From 28 on a network in gateway mode "isolated" has no address on its bridge.
        """
        found = (name for subnet, name in self._bridge_subnets if address in subnet)
        return next(found, None)

    def proxy_of(self, socket: ListeningSocket) -> DockerProxy | None:
        """The docker-proxy that a socket of the host belongs to."""
        found = self.proxies.get(socket.pid) if socket.pid else None
        if found is not None or socket.program != PROXY_PROGRAM:
            return found
        for proxy in self.facts.docker_proxies:
            if (proxy.protocol, proxy.host_port, proxy.host_address) == (socket.protocol, socket.port, socket.address):
                return proxy
        return None

    def is_placeholder(self, socket: ListeningSocket) -> bool:
        """Whether the engine only keeps the port from others: nobody answers there."""
        return socket.program == ENGINE_PROGRAM and (socket.protocol, socket.port) in self.published

    def owner_name(self, space: Space, socket: ListeningSocket) -> str:
        """The container that a listening socket belongs to, or `host`."""
        owner = self.containers.get(socket.container_id or "")
        if owner is not None:
            return owner.name
        if space.is_host:
            return "host"
        here = [self.containers[id_] for id_ in space.facts.containers if id_ in self.containers]
        first = [container for container in here if not container.network_mode.startswith("container:")]
        return (first or here)[0].name if here else "unknown"

    # --- what matches ask --------------------------------------------------------------------------------------

    def address_type(self, address: Address, _interface: str | None = None) -> str:
        """The host's routing table's kind of an address, by iptables' names."""
        routing = self.host.routing
        if routing.owns(address):
            return "LOCAL"
        if routing.is_broadcast(address):
            return "BROADCAST"
        if address.is_multicast:
            return "MULTICAST"
        return "UNICAST"

    def arrives_by_its_way_back(self, packet: Packet, *, strict: bool, by_mark: bool = False) -> bool | None:
        """Whether the route to the packet's source leaves by the interface that it came in by.

        The look-up is that of an answer, from the packet's destination, so rules on sources count; the mark only
        where it is asked for (net/ipv4/fib_frontend.c, __fib_validate_source; seen with `ip rule add from`).
        """
        mark = packet.mark if by_mark else 0
        try:
            back = self.host.routing.lookup(packet.flow.source, source=packet.flow.destination, mark=mark)
        except UnknownRoute:
            return None
        if back.is_local:
            return True
        return back.kind == "unicast" and (not strict or back.interface == packet.in_interface)

    def sysctl(self, name: str, default: str = "0") -> str:
        """A setting of the host."""
        return self.facts.sysctls.get(name, default)

    def bridge_calls_netfilter(self, family: int) -> bool:
        """Whether the host's rules see frames that a bridge switches (bridge-nf-call)."""
        return self.sysctl(BRIDGE_NETFILTER[family]) == "1"

    def is_set(self, setting: str, interface: str) -> bool:
        """An interface's IPv4 setting: conf.all or conf.INTERFACE (IN_DEV_ORCONF, linux/inetdevice.h)."""
        return any(self.sysctl(conf_name(name, setting)) == "1" for name in ("all", interface))

    def name_of(self, space: Space) -> str:
        """What a namespace is called: `host`, or its first container's name."""
        if space.is_host:
            return "host"
        names = [self.containers[id_].name for id_ in space.facts.containers if id_ in self.containers]
        return names[0] if names else f"namespace {space.facts.inode}"


def _table_of_bridges(facts: HostFacts) -> str | None:
    """An nft table of family bridge with rules in it: it sees every frame, and this model does not know it."""
    for name, items in facts.firewall.nft_json.items():
        if name.startswith("bridge ") and any(isinstance(item, dict) and "rule" in item for item in items):
            return name
    return None
