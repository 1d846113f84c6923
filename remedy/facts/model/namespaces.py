"""What is in the network namespaces: links, addresses, routes, sockets, and a conntrack table of their own."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from remedy.facts.model.values import Address, Interface, Protocol, Subnet
from remedy.frozen import FrozenWhenUsed as Frozen


class ListeningSocket(Frozen):
    """A socket that waits for connections (TCP LISTEN, UDP unconnected) in one namespace.

    container_id: the container whose process holds it, of those that share the namespace; None for a process of
    the host (which is not only found in the host's namespace: the engine's DNS listens inside the containers').
    """

    protocol: Protocol
    address: Address
    port: int
    inode: int
    pid: int | None = None
    program: str | None = None
    v6only: bool | None = None
    container_id: str | None = None


class Connection(Frozen):
    """TCP connections as one end sees them, in one namespace; those that differ only in the client's port are one.

    count says how many; the client's port and the inode are those of the first. An IPv4 peer of an IPv6
    socket is shown as IPv4. TIME-WAIT connections belong to no process any more.
    """

    local_address: Address
    local_port: int
    remote_address: Address
    remote_port: int
    state: str
    inode: int = 0
    pid: int | None = None
    program: str | None = None
    count: int = 1


class InterfaceAddress(Frozen):
    """An address on an interface."""

    interface: str
    address: Interface
    scope: str = "global"


class Link(Frozen):
    """An interface. peer_index is the other end's index of a veth, in namespace peer_namespace if not this one."""

    index: int
    name: str
    kind: str | None = None
    is_up: bool = True
    mac: str | None = None
    mtu: int | None = None
    master: str | None = None
    peer_index: int | None = None
    peer_namespace: int | None = None  # the kernel's local number of it (link-netnsid)


class Route(Frozen):
    """A route as `ip -j route show table all` gives it; destination None is the default route."""

    family: Literal[4, 6]
    table: str
    destination: Subnet | None
    kind: str  # unicast, local, broadcast, blackhole ...
    interface: str | None
    gateway: Address | None
    prefsrc: Address | None
    metric: int | None
    scope: str | None = None
    protocol: str | None = None


class RoutingRule(Frozen):
    """A policy routing rule; attributes that the model does not name stay in `extra`."""

    family: Literal[4, 6]
    priority: int
    source: str
    table: str | None
    extra: dict[str, str] = Field(default_factory=dict)


class OwnTable(Frozen):
    """The conntrack table of a container's own network namespace, and the IPv4 rules there.

    entries: None where the kernel has no connection tracking. rules: without any, nothing is tracked; "engine": those
    of its DNS server, which have everything tracked; "other": there are others. kept_empty: remedy's are there besides.
    """

    entries: int | None
    rules: Literal["none", "engine", "other"]
    kept_empty: bool = False


class NetNamespace(Frozen):
    """One network namespace: the host's (is_host) or that of one or more containers.

    sysctls: of a container's, rp_filter; the host's own are HostFacts.sysctls. own_table: of a container's; None where
    it was not read.
    """

    inode: int
    is_host: bool
    containers: tuple[str, ...]  # container ids that share it
    pid: int | None  # a process in it, through which it can be entered
    links: tuple[Link, ...]
    addresses: tuple[InterfaceAddress, ...]
    routes: tuple[Route, ...]
    rules: tuple[RoutingRule, ...]
    listening: tuple[ListeningSocket, ...]
    connections: tuple[Connection, ...]
    sysctls: dict[str, str] = Field(default_factory=dict)
    own_table: OwnTable | None = None


class BridgePort(Frozen):
    """A port of a Linux bridge. container_id is the container behind the veth, if any."""

    bridge: str
    interface: str
    hairpin_mode: bool
    isolated: bool | None = None
    state: int | None = None
    container_id: str | None = None
