"""How the known connections travel, and what has drifted: looked at and counted once, by a process of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from remedy.apply.settings import Settings
from remedy.apply.status import status_report
from remedy.facts.gathering import gather
from remedy.facts.model import Address, HostFacts
from remedy.facts.observed import with_observed
from remedy.paths.clients import CONTAINER_PREFIX, HOST, UnknownSourceError
from remedy.paths.consumers import known_consumers, server_addresses
from remedy.paths.published import published_ports
from remedy.paths.walk import Datapath
from remedy.spec.load import load_spec
from remedy.spec.models import HostPort, Spec
from remedy.watch.metrics.meter import Counted


def count(settings: Settings, spec_path: Path) -> Counted:
    """Look at the host and count. Raises RemedyError."""
    spec = load_spec(spec_path)
    facts = gather(socket=settings.socket, daemon_json_path=settings.daemon_json_path)
    facts = with_observed(facts, settings.state_dir)
    drift = len(status_report(facts, spec, settings).drift)
    return Counted(dict(_paths(facts, spec)), drift, len(facts.docker_proxies))


def _paths(facts: HostFacts, spec: Spec) -> Counter[str]:
    """How many of the known ways go how: `via` of the packet walk."""
    datapath = Datapath(facts)
    found: Counter[str] = Counter()
    for source, to, client in _ways(facts, spec):
        try:
            found[datapath.connect(source, to, client_address=client).via] += 1
        except UnknownSourceError:
            found["unknown"] += 1
    return found


def _ways(facts: HostFacts, spec: Spec) -> Iterator[tuple[str, HostPort, Address | None]]:
    """From whom to where, each once: known clients of published ports, and haproxy's servers wherever they are."""
    found: dict[tuple[str, str], tuple[str, HostPort, Address | None]] = {}
    for consumer in known_consumers(facts, spec, published_ports(facts)):
        client = consumer.client_address if consumer.is_outside else None
        found[consumer.source, str(consumer.to)] = (consumer.source, consumer.to, client)
    for source, to in _haproxy_servers(facts):
        found.setdefault((source, str(to)), (source, to, None))
    yield from found.values()


def _haproxy_servers(facts: HostFacts) -> Iterator[tuple[str, HostPort]]:
    containers = {container.id: container for container in facts.containers}
    for haproxy in facts.haproxies:
        container = containers.get(haproxy.container_id or "")
        if haproxy.container_id is not None and container is None:
            continue
        source = HOST if container is None else f"{CONTAINER_PREFIX}{container.name}"
        for server in haproxy.servers:
            for address in server_addresses(server, container) if server.port is not None else ():
                yield source, HostPort(address=address, port=server.port)
