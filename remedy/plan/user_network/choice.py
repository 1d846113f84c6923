"""Which network it is: the named one, one that all of them share already, or a new one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from remedy.facts.model import Container, HostFacts, Network
from remedy.paths.published import ICC_OPTION

DEFAULT_NETWORKS = ("bridge", "host", "none")
GATEWAY_BRIDGE = "docker_gwbridge"  # the engine's own, for containers on overlays


@dataclass(frozen=True, slots=True)
class Choice:
    """The network that is used. existing None: it is made. instead_of: the spec's name, where another one serves."""

    name: str
    existing: Network | None
    instead_of: str | None = None


def choose(facts: HostFacts, together: Sequence[Container], wanted: str) -> Choice:
    """The network of that name; else one that all are on; else a new one of that name."""
    named = [network for network in facts.networks if network.name == wanted]
    if named:
        return Choice(wanted, named[0])
    shared = next(_shared(facts, together), None)
    if shared is not None:
        return Choice(shared.name, shared, instead_of=wanted)
    return Choice(wanted, None)


def _shared(facts: HostFacts, together: Sequence[Container]) -> Iterator[Network]:
    on = [{endpoint.network_id for endpoint in container.endpoints} for container in together]
    everywhere = set.intersection(*on) if on else set()
    for network in sorted(facts.networks, key=lambda network: network.name):
        if network.id in everywhere and is_user_defined_bridge(network) and not is_closed_to_neighbours(network):
            yield network


def is_user_defined_bridge(network: Network) -> bool:
    """Whether the engine's DNS answers on it: on every bridge but the default one."""
    return network.driver == "bridge" and network.name not in (*DEFAULT_NETWORKS, GATEWAY_BRIDGE)


def is_closed_to_neighbours(network: Network) -> bool:
    """Whether its containers may not talk to each other."""
    return network.options.get(ICC_OPTION) == "false"


def families(network: Network) -> frozenset[int]:
    """The IP versions that its containers get addresses of."""
    return frozenset(subnet.version for subnet in network.subnets if subnet.version == 4 or network.enable_ipv6)
