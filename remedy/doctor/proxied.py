"""Connections that run through docker-proxy: open ones, tracked ones, and those that a configuration makes.

That docker-proxy holds a socket, or that conntrack translated nothing, is seen; where only a configuration says that
a client will connect, the model of the datapath tells whether docker-proxy will be in the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from remedy.doctor.hints import configured_targets
from remedy.doctor.model import Evidence, Finding, ProxiedConnection
from remedy.doctor.patient import Patient
from remedy.errors import RemedyError
from remedy.facts.model import Address, DockerProxy, Protocol
from remedy.paths.clients import CONTAINER_PREFIX
from remedy.paths.consumers import known_consumers
from remedy.spec.models import HostPort, Spec

_RANK = {"seen": 0, "likely": 1, "possible": 2}


@dataclass(slots=True)
class _Way:
    """One client's way to one address through one docker-proxy, as the evidence comes in."""

    client: str
    to: HostPort
    proxy: DockerProxy
    connections: int = 0
    tracked: int = 0
    observed: int = 0
    known_by: list[Evidence] = field(default_factory=list)
    configured_by: list[Evidence] = field(default_factory=list)
    is_configured: bool = False

    @property
    def is_seen(self) -> bool:
        return bool(self.connections or self.tracked or self.observed)


class _Ways:
    """All ways, each once."""

    def __init__(self, patient: Patient) -> None:
        self.patient = patient
        self.found: dict[tuple[str, str], _Way] = {}

    def at(self, client: str, to: HostPort, proxy: DockerProxy) -> _Way:
        return self.found.setdefault((client, str(to)), _Way(client, to, proxy))

    def through_proxy(self, client: str, to: HostPort, address: Address | None = None) -> _Way | None:
        """The way, if the model says that docker-proxy makes it."""
        known = self.found.get((client, str(to)))
        if known is not None:
            return known
        verdict = self.patient.connect(client, to, address)
        proxy = self.patient.proxy_at(to)
        if verdict is None or verdict.via != "docker-proxy" or proxy is None:
            return None
        return self.at(client, to, proxy)


def proxied_connections(patient: Patient) -> Iterator[Finding]:
    """One finding for each client, those that were seen first, load balancers and busy ones first among these."""
    ways = _Ways(patient)
    _add_sockets(ways)
    _add_tracked(ways)
    _add_observed(ways)
    _add_haproxy_servers(ways)
    _add_hints(ways)
    clients: dict[str, list[_Way]] = {}
    for way in ways.found.values():
        clients.setdefault(way.client, []).append(way)
    balancers = _load_balancers(patient)
    ranked = sorted(
        clients.items(),
        key=lambda item: (
            _RANK[_confidence(item[1])],
            item[0] not in balancers,
            -sum(way.connections for way in item[1]),
            -sum(way.tracked + way.observed for way in item[1]),
            item[0],
        ),
    )
    for client, own in ranked:
        yield _finding(patient, client, own, is_balancer=client in balancers)


# --- the evidence, best first --------------------------------------------------------------------------------------


def _add_sockets(ways: _Ways) -> None:
    """What docker-proxy holds; that the connection is there settles how it travels."""
    patient = ways.patient
    for space in patient.facts.namespaces:
        for connection in space.connections if space.is_host else ():
            proxy = patient.proxies.get(connection.pid or 0)
            if proxy is None or connection.local_port != proxy.host_port:
                continue  # the other half of it, to the container
            to = HostPort(address=connection.local_address, port=connection.local_port)
            way = ways.at(patient.client_at(connection.remote_address), to, proxy)
            way.connections += connection.count
            what = f"{_times(connection.count, 'connection')} from {connection.remote_address} ({connection.state})"
            way.known_by.append(Evidence(what=what, where=f"sockets of docker-proxy pid {proxy.pid}"))


def _add_tracked(ways: _Ways) -> None:
    """Entries of connections to a published port that nothing translated: a process of the host took them."""
    patient = ways.patient
    for entry in patient.facts.conntrack.entries:
        if entry.destination_port is None or entry.protocol not in tuple(Protocol) or entry.unreplied:
            continue
        asked, answered = (entry.destination, entry.destination_port), (entry.reply_source, entry.reply_source_port)
        if asked != answered:
            continue
        to = HostPort(address=entry.destination, port=entry.destination_port, protocol=Protocol(entry.protocol))
        proxy = patient.proxy_at(to) if entry.destination in patient.own or entry.destination.is_loopback else None
        if proxy is None:
            continue
        way = ways.at(patient.client_at(entry.source), to, proxy)
        way.tracked += entry.count
        what = f"{_times(entry.count, 'entry', 'entries')} from {entry.source} ({entry.state or 'no state'})"
        way.known_by.append(Evidence(what=what, where="conntrack"))


def _add_observed(ways: _Ways) -> None:
    observed = ways.patient.facts.observed
    for consumer in () if observed is None else observed.consumers:
        to = HostPort(address=consumer.to_address, port=consumer.to_port, protocol=consumer.protocol)
        way = ways.through_proxy(consumer.client, to, consumer.address)
        if way is None:
            continue
        way.observed += consumer.count
        what = f"seen {_times(consumer.count, 'time')}, last at {consumer.last_seen:%Y-%m-%d %H:%M:%S} UTC"
        way.known_by.append(Evidence(what=what, where="remedy doctor --observe"))


def _add_haproxy_servers(ways: _Ways) -> None:
    facts = ways.patient.facts
    for consumer in known_consumers(facts.model_copy(update={"observed": None}), Spec(version=1), ways.patient.ports):
        if not consumer.known_by.startswith("server "):
            continue
        way = ways.through_proxy(consumer.name, consumer.to)
        if way is None:
            continue
        what, _, where = consumer.known_by.partition(" at ")
        way.is_configured = True
        way.configured_by.append(Evidence(what=f"haproxy's {what} is {consumer.to}", where=where))


def _add_hints(ways: _Ways) -> None:
    for hint in configured_targets(ways.patient):
        way = ways.through_proxy(hint.client, hint.to)
        if way is not None:
            way.configured_by.append(Evidence(what=hint.what, where=hint.where))


# --- what is said of them ------------------------------------------------------------------------------------------


def _load_balancers(patient: Patient) -> set[str]:
    found = {
        "host" if h.container_id is None else patient.names.get(h.container_id, "") for h in patient.facts.haproxies
    }
    return {name for name in found if name}


def _confidence(ways: Iterable[_Way]) -> str:
    ways = list(ways)
    if any(way.is_seen for way in ways):
        return "seen"
    return "likely" if any(way.is_configured for way in ways) else "possible"


def _finding(patient: Patient, client: str, ways: list[_Way], *, is_balancer: bool) -> Finding:
    ways = sorted(ways, key=lambda way: (way.to.port, str(way.to)))
    confidence = _confidence(ways)
    servers = list(dict.fromkeys(patient.server_of(way.proxy) for way in ways))
    name = client.removeprefix(CONTAINER_PREFIX)
    who = f"haproxy in {name}" if is_balancer and client != "host" else ("haproxy on the host" if is_balancer else name)
    verb = {"seen": "reaches", "likely": "is configured to reach", "possible": "may reach"}[confidence]
    severity = {"seen": "high", "likely": "high", "possible": "low"}[confidence]
    if confidence == "seen" and not is_balancer and client == "host":
        severity = "medium"
    return Finding(
        code="through-docker-proxy",
        severity=severity,
        title=f"{who} {verb} {_some(servers)} through docker-proxy",
        evidence=tuple(_evidence(patient, ways)),
        consequence="docker-proxy accepts each connection, makes a second one to the container and copies every byte "
        "in user space, both ways: about half of the requests a second or less, two conntrack entries for each "
        "connection, and the server sees the gateway's address instead of the client's",
        remedy=_remedy(patient, client, ways),
        spec=_spec(patient, client, ways),
        confidence=confidence,
        connections=tuple(_connection(patient, way) for way in ways),
    )


def _evidence(patient: Patient, ways: Iterable[_Way]) -> Iterator[Evidence]:
    """A line for each way, with what was seen of it; then what configures it. The rest stands in `connections`."""
    for way in ways:
        proxy = way.proxy
        pid = f"docker-proxy pid {proxy.pid}" if proxy.pid else "docker-proxy"
        target = HostPort(address=proxy.container_address, port=proxy.container_port, protocol=proxy.protocol)
        seen = _seen(way)
        yield Evidence(
            what=f"{way.to} -> {pid} -> {patient.server_of(proxy)} ({target})"
            + (f": {', '.join(seen)}" if seen else ""),
            where=f"/proc/{proxy.pid}/cmdline" if proxy.pid else "",
        )
        yield from way.configured_by


def _seen(way: _Way) -> list[str]:
    tracked, open_now = way.tracked, way.connections
    return [
        *([f"{_times(open_now, 'connection')} open"] if open_now else []),
        *([f"{_times(tracked, 'conntrack entry', 'conntrack entries')}"] if tracked else []),
        *([f"observed {_times(way.observed, 'time')}"] if way.observed else []),
    ]


def _connection(patient: Patient, way: _Way) -> ProxiedConnection:
    proxy = way.proxy
    return ProxiedConnection(
        from_=way.client,
        to=str(way.to),
        pid=proxy.pid or None,
        container=patient.server_of(proxy),
        container_address=str(
            HostPort(address=proxy.container_address, port=proxy.container_port, protocol=proxy.protocol)
        ),
        connections=way.connections,
        tracked=way.tracked,
        observed=way.observed,
        known_by=tuple(f"{item.what} ({item.where})" for item in (*way.known_by, *way.configured_by)),
    )


def _remedy(patient: Patient, client: str, ways: Iterable[_Way]) -> str:
    if client == "external":
        return "find out why these packets are not DNATed: a client outside should never meet docker-proxy"
    cures = _cures(patient, client)
    if cures:
        return f"without docker-proxy it would be cut off. First: {'; '.join(cures)}"
    if all(way.to.address.version == 6 for way in ways):
        return "let it use an IPv4 address of the host: without docker-proxy nothing answers at [::1]"
    return (
        "remedy init, then remedy plan: it shows how to take docker-proxy out of the way, and whom that would cut off"
    )


def _cures(patient: Patient, client: str) -> list[str]:
    """What would save the client, if it would lose a connection together with docker-proxy."""
    plan = patient.without_proxy
    if isinstance(plan, RemedyError):
        return []
    mark = f'from: "{client}",'
    lost = (refusal for refusal in plan.refusals if refusal.code == "consumer-lost")
    return list(dict.fromkeys(refusal.cure for refusal in lost if mark in (refusal.accepted_by or "")))


def _spec(patient: Patient, client: str, ways: Iterable[_Way]) -> str | None:
    if client == "external" or all(way.to.address.version == 6 for way in ways) or _cures(patient, client):
        return None
    if patient.facts.engine.swarm or patient.facts.engine.rootless:
        return None
    return "remedies: {userland_proxy: false}"


def _times(number: int, noun: str, plural: str | None = None) -> str:
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def _some(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
