"""Which connections apply tries before and after: the spec's probes, every known consumer, and each published port.

A published port without a known consumer is tried too, from the host and from a neighbour on its bridge, so that a
change is verified by traffic even where nobody is known. Only paths that are expected to work afterwards are tried:
those that are expected to end are refused or warned of, not measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address

from remedy.facts.model import Address, HostFacts, Protocol
from remedy.paths.consumers import Consumer
from remedy.paths.names import addresses_of_name
from remedy.paths.published import PublishedPort
from remedy.plan.model import ProbePlan
from remedy.plan.outlook import Outlook
from remedy.spec.models import HostPort, Spec

LOOPBACK = IPv4Address("127.0.0.1")


def known_probes(spec: Spec, consumers: Sequence[Consumer]) -> tuple[ProbePlan, ...]:
    """The spec's probes and every known consumer's connection, except those whose loss is accepted."""
    wanted = {(p.from_, p.to): ProbePlan(from_=p.from_, to=p.to, http=p.http, why="the spec") for p in spec.probes}
    accepted = {(entry.from_, entry.to) for entry in spec.accept}
    for consumer in consumers:
        key = (consumer.name, str(consumer.to))
        if key not in accepted and consumer.to.protocol is Protocol.TCP:
            wanted.setdefault(key, ProbePlan(from_=key[0], to=key[1], why=consumer.known_by))
    return tuple(wanted.values())


def named_server_probes(facts: HostFacts) -> Iterator[ProbePlan]:
    """For each server that a haproxy knows by a container's name: the first address that the engine's DNS gives."""
    names = {container.id: container.name for container in facts.containers}
    for haproxy in facts.haproxies:
        name = names.get(haproxy.container_id or "")
        for server in haproxy.servers if name is not None else ():
            addresses = () if server.addresses else addresses_of_name(facts, str(name), server.host)
            if addresses and server.port is not None:
                to = HostPort(address=addresses[0], port=server.port)
                yield ProbePlan(from_=str(name), to=str(to), why=f"server {server.proxy}/{server.name} by name")


def port_probes(ports: Sequence[PublishedPort], outlook: Outlook) -> Iterator[ProbePlan]:
    """For every published TCP port: the host's own connection, and a neighbour's by the gateway."""
    neighbours = _neighbours(ports)
    for port in ports:
        if port.protocol is not Protocol.TCP or not port.is_nat or port.host_family != 4:
            continue
        own = port.host_address or LOOPBACK
        if outlook.works_always("host", HostPort(address=own, port=port.port)):
            yield _probe("host", own, port)
        neighbour = next((name for name in neighbours.get(port.bridge, ()) if name != port.container.name), None)
        gateway = port.host_address or _gateway(port)
        if neighbour is None or gateway is None:
            continue
        if outlook.works_always(f"container:{neighbour}", HostPort(address=gateway, port=port.port)):
            yield _probe(neighbour, gateway, port)


def merged(*groups: Iterable[ProbePlan]) -> tuple[ProbePlan, ...]:
    """All probes, each (from, to) once; the first one counts."""
    found: dict[tuple[str, str], ProbePlan] = {}
    for group in groups:
        for probe in group:
            found.setdefault((probe.from_, probe.to), probe)
    return tuple(found.values())


def _neighbours(ports: Sequence[PublishedPort]) -> dict[str, list[str]]:
    """Two containers per bridge are enough: one of them is not the port's own."""
    names: dict[str, list[str]] = {}
    for port in ports:
        # A container that shares another's namespace has no bridge port of its own.
        known = names.setdefault(port.bridge, [])
        if len(known) < 2 and port.container.name not in known:
            known.append(port.container.name)
    return names


def _gateway(port: PublishedPort) -> Address | None:
    return next((gateway for gateway in port.network.gateways if gateway.version == 4), None)


def _probe(name: str, address: Address, port: PublishedPort) -> ProbePlan:
    to = HostPort(address=address, port=port.port)
    return ProbePlan(from_=name, to=str(to), why=f"published port of {port.container.name}")
