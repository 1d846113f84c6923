"""The docker-proxy processes and the host's sockets as they would be with the userland proxy on or off."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from ipaddress import IPv6Address

from remedy.facts.model import Address, Container, DockerProxy, HostFacts, ListeningSocket, PortBinding, Protocol
from remedy.facts.proxies import PROXY_PROGRAM
from remedy.paths.engine_bridges import Translation, translations
from remedy.paths.published import PublishedPort, host_addresses, published_ports
from remedy.paths.topology import ENGINE_PROGRAM

_EVERY_IPV6 = IPv6Address("::")
_IPV6_LOOPBACK = IPv6Address("::1")

_Place = tuple[Protocol, Address, int]


def without_proxies(facts: HostFacts) -> HostFacts:
    """No docker-proxy any more; the engine itself keeps the ports that its rules serve.

    A port of the other family than its container's ([::] to an IPv4 address) is served by docker-proxy alone: the
    engine has no rule for it, and so no socket either (all versions, measured).
    """
    kept = {_place(proxy) for proxy in facts.docker_proxies if proxy.host_address.version == _family_behind(proxy)}
    kept |= {(s.protocol, s.address, s.port) for s in _engines_sockets(facts) if s.program == ENGINE_PROGRAM}
    return _with_sockets(facts, kept, ENGINE_PROGRAM).model_copy(update={"docker_proxies": ()})


def with_proxies(facts: HostFacts) -> HostFacts:
    """A docker-proxy for every published port that the engine brings back."""
    proxies = tuple(_proxies(facts))
    places = {_place(proxy) for proxy in proxies}
    return _with_sockets(facts, places, PROXY_PROGRAM).model_copy(update={"docker_proxies": proxies})


def _place(proxy: DockerProxy) -> _Place:
    return proxy.protocol, proxy.host_address, proxy.host_port


def _family_behind(proxy: DockerProxy) -> int:
    return proxy.container_address.version


# --- sockets -----------------------------------------------------------------------------------------------------


def _engines_sockets(facts: HostFacts) -> list[ListeningSocket]:
    """The host's sockets that docker-proxy holds, or the engine in its place."""
    published = {(port.protocol, port.host_port) for container in facts.containers for port in container.ports}
    return [
        socket
        for space in facts.namespaces
        if space.is_host
        for socket in space.listening
        if socket.program == PROXY_PROGRAM
        or (socket.program == ENGINE_PROGRAM and (socket.protocol, socket.port) in published)
    ]


def _with_sockets(facts: HostFacts, places: Collection[_Place], program: str) -> HostFacts:
    gone = _engines_sockets(facts)
    own = [
        ListeningSocket(
            protocol=protocol,
            address=address,
            port=port,
            inode=0,
            program=program,
            v6only=True if address == _EVERY_IPV6 else None,
        )
        for protocol, address, port in places
    ]
    spaces = [
        space.model_copy(update={"listening": _sorted([s for s in space.listening if s not in gone] + own)})
        if space.is_host
        else space
        for space in facts.namespaces
    ]
    return facts.model_copy(update={"namespaces": tuple(spaces)})


def _sorted(sockets: list[ListeningSocket]) -> tuple[ListeningSocket, ...]:
    return tuple(sorted(sockets, key=lambda item: (item.protocol, item.port, item.address.version, item.address)))


# --- processes ---------------------------------------------------------------------------------------------------


def _proxies(facts: HostFacts) -> Iterator[DockerProxy]:
    rules = translations(facts)
    resolved = {_binding_key(port): port.to_address for port in published_ports(facts)}
    for container in facts.containers:
        if not container.is_running:
            continue
        for binding in (*container.ports, *_ipv6_bindings(facts, container)):
            key = (container.id, binding.protocol, binding.host_address.version, binding.host_port)
            address = _behind(container, binding, rules, resolved.get(key))
            if address is not None:
                yield _proxy(binding, address)


def _binding_key(port: PublishedPort) -> tuple[str, Protocol, int, int]:
    return port.container.id, port.protocol, port.host_family, port.port


def _ipv6_bindings(facts: HostFacts, container: Container) -> Iterator[PortBinding]:
    """The [::] beside each 0.0.0.0 that the engine does not tell of while the proxy is off (26 and later).

    They come back for containers that had them before, and a container that started without the proxy gets none
    until it restarts (all versions, measured).
    """
    if _IPV6_LOOPBACK not in host_addresses(facts) or not _started_with_proxy(facts, container):
        return
    known = {(port.protocol, port.host_port) for port in container.ports if port.host_address.version == 6}
    for port in container.ports:
        is_everywhere = port.host_address.version == 4 and port.host_address.is_unspecified
        if is_everywhere and (port.protocol, port.host_port) not in known:
            yield port.model_copy(update={"host_address": _EVERY_IPV6})


def _started_with_proxy(facts: HostFacts, container: Container) -> bool:
    """Whether a container that runs while the proxy is off is older than that.

    The facts do not say it in so many words. One that outlived the engine's start did so under an engine before it,
    which is taken to have had the proxy; without times, hairpin_mode tells: the engine sets it for those that start
    without the proxy.
    """
    engine, own = facts.engine.started_at, container.started_at
    if engine is not None and own[:2] == "20":
        return datetime.fromisoformat(f"{own[:19]}+00:00") < engine.replace(microsecond=0)
    ports = [port for port in facts.bridge_ports if port.container_id == container.id]
    return bool(ports) and not any(port.hairpin_mode for port in ports)


def _behind(
    container: Container, binding: PortBinding, rules: tuple[Translation, ...], resolved: Address | None
) -> Address | None:
    """Where the proxy connects to: as the engine's rules have it, for they say on which network the port is."""
    own = {i.ip for endpoint in container.endpoints for i in (endpoint.ipv4, endpoint.ipv6) if i is not None}
    found = [
        rule.to_address
        for rule in rules
        if rule.to_address in own and (rule.protocol, rule.to_port) == (binding.protocol, binding.container_port)
    ]
    wanted = binding.host_address.version
    candidates = [*found, *([] if resolved is None else [resolved])]
    same_family = [address for address in candidates if address.version == wanted]
    return next(iter(same_family or candidates), None)


def _proxy(binding: PortBinding, to: Address) -> DockerProxy:
    options = {
        "-proto": binding.protocol.value,
        "-host-ip": str(binding.host_address),
        "-host-port": str(binding.host_port),
        "-container-ip": str(to),
        "-container-port": str(binding.container_port),
    }
    return DockerProxy(
        pid=0,  # of a process that is not there yet
        protocol=binding.protocol,
        host_address=binding.host_address,
        host_port=binding.host_port,
        container_address=to,
        container_port=binding.container_port,
        command_line=(PROXY_PROGRAM, *(word for option in options.items() for word in option)),
    )
