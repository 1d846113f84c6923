"""Published ports as the datapath sees them: which container address, behind which bridge."""

from __future__ import annotations

from dataclasses import dataclass, replace

from remedy.facts.model import Address, Container, HostFacts, Network, PortBinding, Protocol, Subnet

ICC_OPTION = "com.docker.network.bridge.enable_icc"


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """One binding of a running container, resolved to the address that the engine maps it to.

    host_address None: every local address of the family `host_family`. A `[::]` binding of a container without
    IPv6 has host_family 6 and an IPv4 to_address: only docker-proxy can serve it.
    """

    container: Container
    network: Network
    bridge: str
    subnet: Subnet
    protocol: Protocol
    host_family: int
    host_address: Address | None
    port: int
    to_address: Address
    to_port: int
    is_translated: bool = True  # the engine writes rules for this IP version (ip6tables)

    @property
    def is_nat(self) -> bool:
        """Whether iptables serves it: the engine writes rules, and both ends speak the same IP version."""
        return self.is_translated and self.host_family == self.to_address.version

    @property
    def is_closed_to_neighbours(self) -> bool:
        """Whether the network's containers may not talk to each other (icc: false, enable_icc: false).

        FORWARD drops what comes from the bridge and goes to it, translated or not; docker-proxy's is the only way.
        """
        return self.network.options.get(ICC_OPTION) == "false"

    def covers(self, address: Address, port: int, protocol: Protocol) -> bool:
        """Whether a connection to this host address and port means this published port."""
        if (port, protocol, address.version) != (self.port, self.protocol, self.host_family):
            return False
        return self.host_address is None or self.host_address == address


def published_ports(facts: HostFacts) -> tuple[PublishedPort, ...]:
    """Every published port of every running container that is on a bridge network.

    Bindings on networks without NAT (gateway mode routed, macvlan) are left out: the engine maps nothing there.
    """
    networks = {network.id: network for network in facts.networks}
    proxied = {
        (proxy.protocol, proxy.host_address, proxy.host_port): proxy.container_address for proxy in facts.docker_proxies
    }
    found = []
    for container in facts.containers:
        if not container.is_running:
            continue
        for binding in container.ports:
            port = _resolve(container, binding, networks, proxied)
            if port is not None:
                # Off by default before 27.0: a container's IPv6 is docker-proxy's alone then.
                is_translated = port.host_family == 4 or facts.engine.ip6tables is not False
                found.append(replace(port, is_translated=is_translated))
    return tuple(found)


def _resolve(
    container: Container,
    binding: PortBinding,
    networks: dict[str, Network],
    proxied: dict[tuple[Protocol, Address, int], Address],
) -> PublishedPort | None:
    mapped = proxied.get((binding.protocol, binding.host_address, binding.host_port))
    candidates = [
        (endpoint, networks[endpoint.network_id])
        for endpoint in container.endpoints
        if endpoint.network_id in networks and _maps_ports(networks[endpoint.network_id])
    ]
    # The engine maps ports on the endpoint that holds the default gateway: by priority, then by network name
    # (measured on 20.10 to 28.5); a docker-proxy's own command line is better evidence.
    candidates.sort(key=lambda pair: (-pair[0].gateway_priority, pair[1].name))
    for endpoint, network in candidates:
        addresses = [interface.ip for interface in (endpoint.ipv4, endpoint.ipv6) if interface is not None]
        if mapped is not None and mapped not in addresses:
            continue
        if not addresses or network.bridge is None:
            continue
        wanted = binding.host_address.version
        address = mapped or next((a for a in addresses if a.version == wanted), addresses[0])
        interface = endpoint.ipv4 if address.version == 4 else endpoint.ipv6
        if interface is None:
            continue
        unspecified = binding.host_address.is_unspecified
        return PublishedPort(
            container=container,
            network=network,
            bridge=network.bridge,
            subnet=interface.network,
            protocol=binding.protocol,
            host_family=wanted,
            host_address=None if unspecified else binding.host_address,
            port=binding.host_port,
            to_address=address,
            to_port=binding.container_port,
        )
    return None


def _maps_ports(network: Network) -> bool:
    modes = {network.options.get(f"com.docker.network.bridge.gateway_mode_ipv{v}", "nat") for v in (4, 6)}
    return network.driver == "bridge" and not network.internal and modes != {"routed"}


def host_addresses(facts: HostFacts) -> frozenset[Address]:
    """All addresses of the host itself, loopback included."""
    return frozenset(a.address.ip for space in facts.namespaces if space.is_host for a in space.addresses)


def container_by_address(facts: HostFacts) -> dict[Address, Container]:
    """Which running container has an address on one of the engine's networks."""
    return {
        interface.ip: container
        for container in facts.containers
        if container.is_running
        for endpoint in container.endpoints
        for interface in (endpoint.ipv4, endpoint.ipv6)
        if interface is not None
    }


def connections_by_proxy(facts: HostFacts) -> int:
    """How many clients' connections the docker-proxies hold now (their own to the containers not counted)."""
    ports = {proxy.pid: proxy.host_port for proxy in facts.docker_proxies}
    return sum(
        connection.count
        for space in facts.namespaces
        if space.is_host
        for connection in space.connections
        if connection.pid is not None and ports.get(connection.pid) == connection.local_port
    )
