"""Containers, networks, and what serves the published ports."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from pydantic import Field

from remedy.facts.model.values import Address, Protocol, Subnet
from remedy.frozen import FrozenWhenUsed as Frozen


class PortBinding(Frozen):
    """One published port: host_address:host_port -> the container's port.

    host_address 0.0.0.0 and :: mean every address of that family.
    """

    protocol: Protocol
    container_port: int
    host_address: Address
    host_port: int


class Endpoint(Frozen):
    """A container's place on one network.

    aliases are those that somebody gave it, dns_names all that the engine answers to (empty before 25).
    """

    network_id: str
    network_name: str
    ipv4: IPv4Interface | None = None
    ipv6: IPv6Interface | None = None
    gateway4: IPv4Address | None = None
    gateway6: IPv6Address | None = None
    mac: str | None = None
    aliases: tuple[str, ...] = ()
    endpoint_id: str = ""
    dns_names: tuple[str, ...] = ()
    gateway_priority: int = 0  # 28 and later


class Mount(Frozen):
    """A mount of a container: kind is bind, volume, tmpfs."""

    kind: str
    source: str
    destination: str
    writable: bool


class Container(Frozen):
    """One container, running or not. name has no leading slash.

    network_mode is Docker's: bridge, host, none, container:ID, or a network's name.
    """

    id: str
    name: str
    image: str
    state: str
    pid: int  # 0 when not running
    started_at: str  # as the engine gives it; compared as text
    restart_policy: str
    network_mode: str
    labels: dict[str, str]
    endpoints: tuple[Endpoint, ...]
    ports: tuple[PortBinding, ...]
    auto_remove: bool = False
    stop_timeout_seconds: int | None = None
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    environment: dict[str, str] = Field(default_factory=dict)
    extra_hosts: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()

    @property
    def is_running(self) -> bool:
        """Whether the container has processes (running or paused)."""
        return self.pid > 0


class Network(Frozen):
    """A Docker network. bridge is the host's interface of a bridge network, else None."""

    id: str
    name: str
    driver: str
    scope: str
    internal: bool
    enable_ipv6: bool
    subnets: tuple[Subnet, ...]
    gateways: tuple[Address, ...]
    bridge: str | None
    options: dict[str, str]
    labels: dict[str, str] = Field(default_factory=dict)


class DockerProxy(Frozen):
    """A docker-proxy process and what it forwards, from its command line.

    cpu_seconds: what it has used since it started, age_seconds ago.
    """

    pid: int
    protocol: Protocol
    host_address: Address
    host_port: int
    container_address: Address
    container_port: int
    resident_bytes: int | None = None
    command_line: tuple[str, ...] = ()
    cpu_seconds: float | None = None
    age_seconds: float | None = None
