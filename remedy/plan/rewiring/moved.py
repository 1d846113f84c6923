"""Connections that haproxy no longer makes once it is rewired: nobody is cut off when their way ends."""

from __future__ import annotations

from collections.abc import Iterable

from remedy.facts.model import Address, HostFacts
from remedy.paths.consumers import Consumer
from remedy.plan.actions import Action, RewiredServer, RewireHaproxy
from remedy.plan.rewiring.probes import address_on as address_of
from remedy.spec.models import HostPort, Spec


def rewiring_of(consumer: Consumer, actions: Iterable[Action]) -> RewireHaproxy | None:
    """The action after which this consumer connects elsewhere; None when it goes on as it is."""
    if consumer.container is None:
        return None
    for action in actions:
        if (
            isinstance(action, RewireHaproxy)
            and action.container_id == consumer.container.id
            and str(consumer.to) in action.moved
        ):
            return action
    return None


def is_probed(consumer: Consumer, spec: Spec) -> bool:
    """Whether the spec says that this very connection must go on working, rewired or not."""
    return any((probe.from_, probe.to) == (consumer.name, str(consumer.to)) for probe in spec.probes)


def destination(action: RewireHaproxy, consumer: Consumer, facts: HostFacts) -> HostPort | None:
    """Where the consumer connects to instead, by the facts after the action; None when it cannot be told."""
    server = next((s for s in action.servers if s.container_id == consumer.port.container.id), None)
    address = None if server is None else address_on(action.network, server, facts)
    return None if server is None or address is None else HostPort(address=address, port=server.port)


def address_on(network: str, server: RewiredServer, facts: HostFacts) -> Address | None:
    """The address of a server's container on the network: IPv4 where there is one, as haproxy is told to prefer."""
    container = next((c for c in facts.containers if c.id == server.container_id), None)
    return None if container is None else address_of(container, network)


def with_rewired_servers(facts: HostFacts, action: RewireHaproxy) -> HostFacts:
    """The same host, with the servers of the action's haproxy at their new addresses."""
    rewired = {(server.file, server.line): server for server in action.servers}
    haproxies = []
    for haproxy in facts.haproxies:
        if haproxy.container_id != action.container_id or haproxy.unit != action.unit:
            haproxies.append(haproxy)
            continue
        servers = []
        for server in haproxy.servers:
            new = rewired.get((server.file, server.line))
            if new is None:
                servers.append(server)
                continue
            address = address_on(action.network, new, facts)
            after = {
                "host": new.host,
                "port": new.port,
                "check_port": new.check_port or server.check_port,
                "addresses": () if address is None else (address,),
            }
            servers.append(server.model_copy(update=after))
        haproxies.append(haproxy.model_copy(update={"servers": tuple(servers)}))
    return facts.model_copy(update={"haproxies": tuple(haproxies)})
