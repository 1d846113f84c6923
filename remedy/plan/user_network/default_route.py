"""Which endpoint gives a container its default route, and whether a network that it joins would take that over.

The published ports go where the default route goes: a container whose gateway endpoint changes loses its connections.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from remedy.facts.model import Container, Endpoint, Network
from remedy.paths.engine_versions import Version, has_gateway_priority
from remedy.plan.user_network.choice import GATEWAY_BRIDGE, families

_Rank = tuple[int, bool, bool, int, str]


def would_move(container: Container, joining: Network, networks: Mapping[str, Network], version: Version) -> bool:
    """Whether joining the network changes, or gives, a default route of either IP version.

    Internal networks never carry one.
    """
    gained = _gateways(joining)
    if not gained:
        return False
    new = _rank(joining, gained, 0, version)
    present = [(endpoint, networks[endpoint.network_id]) for endpoint in _known(container.endpoints, networks)]
    # Before 28 one endpoint is chosen for both IP versions, by its IPv4 gateway.
    for family in gained if has_gateway_priority(version) else (min(gained),):
        ranks = [
            _rank(network, _gateways(network), endpoint.gateway_priority, version)
            for endpoint, network in present
            if family in _gateways(network)
        ]
        if not ranks or new < min(ranks):
            return True
    return False


def _known(endpoints: Sequence[Endpoint], networks: Mapping[str, Network]) -> list[Endpoint]:
    return [endpoint for endpoint in endpoints if endpoint.network_id in networks]


def _gateways(network: Network) -> frozenset[int]:
    return frozenset() if network.internal or network.driver in ("host", "null") else families(network)


def _rank(network: Network, gateways: frozenset[int], priority: int, version: Version) -> _Rank:
    """The smallest is the gateway (moby, libnetwork/sandbox.go, Endpoint.Less; priority from 28.0)."""
    if has_gateway_priority(version):
        score = len(gateways)
    else:
        priority, score = 0, sum({4: 1, 6: 2}[family] for family in gateways)
    return (-priority, network.name == GATEWAY_BRIDGE, network.internal, -score, network.name)
