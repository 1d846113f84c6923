"""Connections by which a rewiring is verified: from haproxy to each backend, at the address that its name means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from remedy.facts.model import Address, Container, HostFacts
from remedy.plan.actions import Action, RewireHaproxy
from remedy.plan.model import ProbePlan
from remedy.spec.models import HostPort


def rewired_probes(actions: Sequence[Action], facts: HostFacts) -> tuple[ProbePlan, ...]:
    """What must work once these actions are done; containers are known by name, as haproxy knows them."""
    return tuple(probe for action in actions if isinstance(action, RewireHaproxy) for probe in _probes(action, facts))


def missing_members(actions: Sequence[Action], facts: HostFacts) -> tuple[str, ...]:
    """Backends that are not where a rewired haproxy looks for them: made again meanwhile, or disconnected."""
    found = []
    for action in actions:
        if isinstance(action, RewireHaproxy):
            wanted = dict.fromkeys(server.container for server in action.servers)
            found += [f"{name} is not on {action.network}" for name in wanted if _address(name, action, facts) is None]
    return tuple(found)


def _probes(action: RewireHaproxy, facts: HostFacts) -> Iterator[ProbePlan]:
    if action.container is None:
        return
    for server in action.servers:
        address = _address(server.container, action, facts)
        if address is not None:
            to = HostPort(address=address, port=server.port)
            yield ProbePlan(from_=action.container, to=str(to), why=f"server {server.proxy}/{server.name} by name")


def _address(name: str, action: RewireHaproxy, facts: HostFacts) -> Address | None:
    container = next((c for c in facts.containers if c.name == name and c.is_running), None)
    return None if container is None else address_on(container, action.network)


def address_on(container: Container, network: str) -> Address | None:
    """A container's address on a network: IPv4 where there is one, as haproxy is told to prefer."""
    for endpoint in container.endpoints:
        interface = endpoint.ipv4 or endpoint.ipv6
        if endpoint.network_name == network and interface is not None:
            return interface.ip
    return None
