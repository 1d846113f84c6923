"""Where containers are told to connect: environment variables and extra hosts that name a published port.

Facts keep only values that look like an address or a port, and no secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from remedy.doctor.model import Evidence, Finding
from remedy.doctor.patient import Patient
from remedy.facts.model import Address, Container, Protocol
from remedy.paths.clients import CONTAINER_PREFIX, EXTERNAL, HOST
from remedy.spec.models import HostPort

_ADDRESS_AND_PORT = re.compile(r"(?:^|[^\w.\-:])(\[[0-9a-fA-F:]+\]|[\w.\-]+):(\d{1,5})(?:\D|$)")
_NAME_PARTS = ("_PORT", "_HOST", "_ADDR", "_ADDRESS", "_HOSTNAME", "_SERVER")
_MOST_PORTS = 50
_HOST_GATEWAY = "host-gateway"


@dataclass(frozen=True, slots=True)
class Hint:
    """A container is told to connect to a published port at one of the host's addresses."""

    client: str
    to: HostPort
    what: str
    where: str


def configured_targets(patient: Patient) -> Iterator[Hint]:
    """Every published port at an address of the host that a running container's environment names."""
    published = {(port.protocol, port.port) for port in patient.ports}
    for container in patient.facts.containers:
        if not container.is_running or not container.environment:
            continue
        aliases = _aliases(patient, container)
        for name, address, port in _named_targets(container, aliases):
            is_here = address in patient.own and not address.is_loopback
            if is_here and (Protocol.TCP, port) in published:
                to = HostPort(address=address, port=port)
                what = f"environment variable {name} of {container.name} names {to}"
                yield Hint(_client(container), to, what, f"container {container.name}")


def acquainted(patient: Patient) -> Iterator[Finding]:
    """Containers that know an address of this host without a port: they may use any published one there."""
    busy = {hint.client for hint in configured_targets(patient)}
    for container in patient.facts.containers:
        if not container.is_running or _client(container) in busy:
            continue
        known = dict(_known_addresses(patient, container))
        ways = {what: port for what, at in known.items() if (port := _proxied_port(patient, container, at)) is not None}
        if ways:
            yield _acquaintance(container, ways)


def _known_addresses(patient: Patient, container: Container) -> Iterator[tuple[str, Address]]:
    aliases = _aliases(patient, container)
    yield from ((f"extra host {name} is {address}", address) for name, address in aliases.items())
    for name, value in container.environment.items():
        address = _address(value)
        if address is not None:
            yield f"environment variable {name} is {value}", address


def _proxied_port(patient: Patient, container: Container, address: Address) -> HostPort | None:
    """A published port at the address that docker-proxy would serve this container."""
    if address not in patient.own or address.is_loopback:
        return None
    for port in patient.ports[:_MOST_PORTS]:
        to = HostPort(address=address, port=port.port, protocol=port.protocol)
        if not port.covers(address, port.port, port.protocol) or port.container.id == container.id:
            continue
        verdict = patient.connect(_client(container), to)
        if verdict is not None and verdict.via == "docker-proxy":
            return to
    return None


def _acquaintance(container: Container, ways: dict[str, HostPort]) -> Finding:
    return Finding(
        code="knows-the-host",
        severity="low",
        title=f"{container.name} knows this host by its address, and may use published ports there",
        evidence=tuple(
            Evidence(what=f"{what}; {to} would be docker-proxy", where=f"container {container.name}")
            for what, to in ways.items()
        ),
        consequence="which ports it uses, and how often, cannot be told from its configuration",
        remedy="watch for a while: remedy doctor --observe 1h",
        confidence="possible",
    )


def _aliases(patient: Patient, container: Container) -> dict[str, Address]:
    found = {}
    for entry in container.extra_hosts:
        name, _, text = entry.replace("=", ":", 1).partition(":")
        address = _host_gateway(patient) if text == _HOST_GATEWAY else _address(text)
        if name and address is not None:
            found[name] = address
    return found


def _host_gateway(patient: Patient) -> Address | None:
    """Where host-gateway leads: daemon.json's host-gateway-ip, else the default bridge's own address."""
    configured = (patient.facts.daemon_json.parsed or {}).get("host-gateway-ip")
    if isinstance(configured, str):
        return _address(configured)
    for network in patient.facts.networks:
        if network.name == "bridge" and network.driver == "bridge":
            return next((gateway for gateway in network.gateways if gateway.version == 4), None)
    return None


def _named_targets(container: Container, aliases: dict[str, Address]) -> Iterator[tuple[str, Address, int]]:
    for name, value in container.environment.items():
        for host, port in _ADDRESS_AND_PORT.findall(value):
            address = aliases.get(host) or _address(host)
            if address is not None and 0 < int(port) < 65536:
                yield name, address, int(port)
        if name.endswith("_PORT") and value.isdigit() and 0 < int(value) < 65536:
            stem = name.removesuffix("_PORT")
            for ending in _NAME_PARTS[1:]:
                host = container.environment.get(stem + ending, "")
                address = aliases.get(host) or _address(host)
                if address is not None:
                    yield f"{stem + ending} and {name}", address, int(value)


def _address(text: str) -> Address | None:
    try:
        return ip_address(text.strip("[]"))
    except ValueError:
        return None


def _client(container: Container) -> str:
    return f"{CONTAINER_PREFIX}{container.name}" if container.name in (HOST, EXTERNAL) else container.name
