"""What neighbours on the network reach that they should not: published on 127.0.0.1, and not published at all."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface
from itertools import islice

from remedy.doctor.model import Evidence, Finding
from remedy.doctor.patient import Patient
from remedy.facts.model import Container, Network, Protocol
from remedy.paths.clients import EXTERNAL
from remedy.paths.verdict import Verdict
from remedy.spec.models import HostPort

_MOST_QUESTIONS = 200
_SHOWN = 6


def neighbours(patient: Patient) -> Iterator[Finding]:
    """Asked of the model: a packet from the network to each such address."""
    at = neighbour_address(patient)
    if at is not None:
        yield from _loopback_ports(patient, at)
        yield from _unpublished_ports(patient, at)


def neighbour_address(patient: Patient) -> IPv4Address | None:
    """An address that a machine on the host's own network could have; None for a host without one."""
    host = next((space for space in patient.facts.namespaces if space.is_host), None)
    if host is None:
        return None
    engines = {network.bridge for network in patient.facts.networks} | {"lo"}
    gateways = {route.gateway for route in host.routes if route.destination is None}
    for item in host.addresses:
        address = item.address
        is_lan = item.scope == "global" and item.interface not in engines
        if not is_lan or not isinstance(address, IPv4Interface) or address.network.prefixlen > 30:
            continue
        known = next((gateway for gateway in gateways if gateway in address.network), None)
        if isinstance(known, IPv4Address):
            return known
        return next((at for at in address.network.hosts() if at not in patient.own), None)
    return None


def _loopback_ports(patient: Patient, at: IPv4Address) -> Iterator[Finding]:
    found: list[Evidence] = []
    ports = [p for p in patient.ports if p.host_address == IPv4Address("127.0.0.1")]  # the kernel drops ::1
    names: list[str] = []
    for port in ports[:_MOST_QUESTIONS]:
        to = HostPort(address=port.host_address, port=port.port, protocol=port.protocol)
        verdict = patient.connect(EXTERNAL, to, at)
        if verdict is None or not verdict.reachable:
            continue
        names.append(f"{port.container.name} ({to})")
        found.append(Evidence(what=f"{at} -> {to} arrives at {verdict.by}", where=_deciding_rule(verdict)))
    if not found:
        return
    yield Finding(
        code="loopback-port-exposed",
        severity="high",
        title=f"published on 127.0.0.1 and reachable from neighbours: {_some(names)}",
        evidence=tuple(found[:_SHOWN]),
        consequence="a machine on the same network that sends packets for 127.0.0.1 to this host's hardware address "
        "reaches the container, though the port was meant for this host alone (moby 45610)",
        remedy="engine 28 and later drop such packets; until then: iptables -t raw -I PREROUTING -d 127.0.0.0/8 "
        "! -i lo -j DROP, at every boot",
        confidence="likely",
    )


def _unpublished_ports(patient: Patient, at: IPv4Address) -> Iterator[Finding]:
    found: list[Evidence] = []
    names: list[str] = []
    for container, to in islice(_unpublished(patient), _MOST_QUESTIONS):
        verdict = patient.connect(EXTERNAL, to, at)
        if verdict is not None and verdict.reachable and verdict.by not in (None, "outside"):
            names.append(f"{container.name} ({to})")
            found.append(Evidence(what=f"{at} -> {to} arrives at {verdict.by}", where=_deciding_rule(verdict)))
    if not found:
        return
    yield Finding(
        code="unpublished-ports-open",
        severity="medium",
        title=f"reachable from neighbours without being published: {_some(names)}",
        evidence=tuple(found[:_SHOWN]),
        consequence="who adds a route to the container's subnet by way of this host gets to ports that nobody "
        "published; before engine 28 only FORWARD's policy forbids that",
        remedy="iptables -P FORWARD DROP (the engine's own rules let published ports through), or engine 28 and later",
        confidence="likely",
    )


def _unpublished(patient: Patient) -> Iterator[tuple[Container, HostPort]]:
    """Servers in containers that listen to everybody, at ports that are not published."""
    spaces = {id_: space for space in patient.facts.namespaces if not space.is_host for id_ in space.containers}
    closed = {network.id for network in patient.facts.networks if not _is_open_on_purpose(network)}
    for container in patient.facts.containers:
        space = spaces.get(container.id)
        ends = (end.ipv4.ip for end in container.endpoints if end.ipv4 is not None and end.network_id in closed)
        address = next(ends, None)
        if space is None or address is None or container.network_mode.startswith("container:"):
            continue
        published = {port.container_port for port in container.ports}
        tcp = [item for item in space.listening if item.protocol is Protocol.TCP and not item.address.is_loopback]
        for port in sorted({item.port for item in tcp} - published):
            yield container, HostPort(address=address, port=port)


def _is_open_on_purpose(network: Network) -> bool:
    return network.options.get("com.docker.network.bridge.gateway_mode_ipv4") in ("routed", "nat-unprotected")


def _deciding_rule(verdict: Verdict) -> str:
    """The rule that let it in: the last one that decided something, or the last translation."""
    rules = [step for step in verdict.steps if step.why.startswith("-A ") or step.why.startswith("policy")]
    translated = [step for step in rules if "DNAT" in step.why]
    step = next(iter(translated), None) or (rules[-1] if rules else None)
    return f"{step.where}: {step.why}" if step is not None else "no rule forbids it"


def _some(items: list[str], most: int = 4) -> str:
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")
