"""Containers, as the engine's inspect describes them. Everything in it may be hostile and is kept as data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address
from typing import Any

from remedy.facts.model import Container, Endpoint, Mount, PortBinding, Protocol
from remedy.facts.secrets import keep_endpoints

Answer = dict[str, Any]


def parse_container(inspect: Answer) -> Container:
    """Read the answer of /containers/ID/json."""
    config: Answer = inspect.get("Config") or {}
    host: Answer = inspect.get("HostConfig") or {}
    state: Answer = inspect.get("State") or {}
    network: Answer = inspect.get("NetworkSettings") or {}
    return Container(
        id=inspect["Id"],
        name=inspect["Name"].removeprefix("/"),
        image=config.get("Image") or inspect.get("Image") or "",
        state=state.get("Status") or "",
        pid=state.get("Pid") or 0,
        started_at=state.get("StartedAt") or "",
        restart_policy=(host.get("RestartPolicy") or {}).get("Name") or "no",
        network_mode=_network_mode(host),
        labels=config.get("Labels") or {},
        endpoints=parse_endpoints(network.get("Networks") or {}),
        # A container that does not run has no bindings, whatever its configuration asks for.
        ports=parse_ports(network.get("Ports") or {}) if state.get("Pid") else (),
        auto_remove=bool(host.get("AutoRemove")),
        stop_timeout_seconds=config.get("StopTimeout"),
        command=tuple(config.get("Cmd") or ()),
        entrypoint=_entrypoint(config.get("Entrypoint")),
        environment=keep_endpoints(config.get("Env") or ()),
        extra_hosts=tuple(host.get("ExtraHosts") or ()),
        mounts=tuple(_parse_mount(mount) for mount in inspect.get("Mounts") or ()),
    )


def parse_listed(listed: Answer, known: Container | None) -> Container:
    """Read one item of /containers/json, which the engine answers at once, also while a container is being changed.

    It has addresses, ports, labels and state; the rest is that of `known`, the same container as it was inspected
    before. The process id of a running one is not told: 1 stands for it where nobody has inspected it yet.
    """
    is_running = listed.get("State") in ("running", "paused")
    endpoints = parse_endpoints((listed.get("NetworkSettings") or {}).get("Networks") or {})
    found = {
        "name": _own_name(listed),
        "state": listed.get("State") or "",
        "labels": listed.get("Labels") or {},
        "endpoints": endpoints,
        "ports": tuple(sorted(_listed_bindings(listed.get("Ports") or ()), key=_order)) if is_running else (),
    }
    if known is not None and known.id == listed["Id"]:
        pid = (known.pid or 1) if is_running else 0
        return known.model_copy(update={**found, "pid": pid})
    return Container(
        id=listed["Id"],
        image=listed.get("Image") or "",
        pid=1 if is_running else 0,
        started_at="",
        restart_policy="no",
        network_mode=_network_mode(listed.get("HostConfig") or {}),
        **found,
    )


def _own_name(listed: Answer) -> str:
    """Its name; the others are those that links give it: /web/db."""
    names = (str(name).removeprefix("/") for name in listed.get("Names") or ())
    return next((name for name in names if "/" not in name), str(listed["Id"])[:12])


def _listed_bindings(ports: Sequence[Answer]) -> Iterator[PortBinding]:
    for port in ports:
        if port.get("PublicPort"):
            yield PortBinding(
                protocol=Protocol(port.get("Type") or "tcp"),
                container_port=port["PrivatePort"],
                host_address=ip_address(port.get("IP") or "0.0.0.0"),  # noqa: S104
                host_port=port["PublicPort"],
            )


def parse_ports(ports: dict[str, list[Answer] | None]) -> tuple[PortBinding, ...]:
    """Read NetworkSettings.Ports: {"8080/tcp": [{"HostIp": "0.0.0.0", "HostPort": "5001"}], "80/tcp": null}."""
    # The engine lists them in no order of its own.
    return tuple(sorted(_bindings(ports), key=_order))


def _bindings(ports: dict[str, list[Answer] | None]) -> Iterator[PortBinding]:
    for key, bindings in ports.items():
        number, _, protocol = key.partition("/")
        for binding in bindings or ():
            # Networks with gateway mode "routed" list a binding without a host port: nothing is bound.
            if not binding.get("HostPort") or binding["HostPort"] == "0":
                continue
            yield PortBinding(
                protocol=Protocol(protocol or "tcp"),
                container_port=int(number),
                host_address=ip_address(binding.get("HostIp") or "0.0.0.0"),  # noqa: S104
                host_port=int(binding["HostPort"]),
            )


def parse_endpoints(networks: dict[str, Answer]) -> tuple[Endpoint, ...]:
    """Read NetworkSettings.Networks, by network name."""
    return tuple(_parse_endpoint(name, networks[name]) for name in sorted(networks))


def _parse_endpoint(name: str, endpoint: Answer) -> Endpoint:
    ipv4, ipv6 = endpoint.get("IPAddress"), endpoint.get("GlobalIPv6Address")
    gateway4, gateway6 = endpoint.get("Gateway"), endpoint.get("IPv6Gateway")
    return Endpoint(
        network_id=endpoint.get("NetworkID") or "",
        network_name=name,
        ipv4=IPv4Interface(f"{ipv4}/{endpoint.get('IPPrefixLen') or 32}") if ipv4 else None,
        ipv6=IPv6Interface(f"{ipv6}/{endpoint.get('GlobalIPv6PrefixLen') or 128}") if ipv6 else None,
        gateway4=IPv4Address(gateway4) if gateway4 else None,
        gateway6=IPv6Address(gateway6) if gateway6 else None,
        mac=endpoint.get("MacAddress") or None,
        aliases=tuple(endpoint.get("Aliases") or ()),
        endpoint_id=endpoint.get("EndpointID") or "",
        dns_names=tuple(endpoint.get("DNSNames") or ()),
        gateway_priority=endpoint.get("GwPriority") or 0,
    )


def _order(binding: PortBinding) -> tuple[str, int, int, int, int]:
    address = binding.host_address
    return (binding.protocol, binding.container_port, binding.host_port, address.version, int(address))


def _network_mode(host: Answer) -> str:
    mode = str(host.get("NetworkMode") or "default")
    # "default" is what clients send that do not care: on Linux the network named bridge.
    return "bridge" if mode == "default" else mode


def _entrypoint(value: str | list[str] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


def _parse_mount(mount: Answer) -> Mount:
    return Mount(
        kind=mount.get("Type") or "",
        source=mount.get("Source") or "",
        destination=mount.get("Destination") or "",
        writable=bool(mount.get("RW")),
    )
