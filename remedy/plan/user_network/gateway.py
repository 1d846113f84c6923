"""Which of a container's networks gives it the default route, and so its published ports, and who would lose it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from remedy.facts.model import Container, HostFacts, Network


def gateway_network(container: Container, networks: dict[str, Network]) -> str | None:
    """The name of the network whose gateway is the container's; None for one without.

    By gateway priority (28 and later), then by name; internal networks never give it (seen on 20.10, 26.1, 28.5;
    libnetwork's ordering of endpoints).
    """
    candidates = [
        (-endpoint.gateway_priority, endpoint.network_name)
        for endpoint in container.endpoints
        if endpoint.network_id in networks and not networks[endpoint.network_id].internal
    ]
    return min(candidates)[1] if candidates else None


def moved_by_joining(facts: HostFacts, joining: Sequence[Container], network: Network) -> Iterator[tuple[str, str]]:
    """(container, its present gateway's network or "no network") of those whose default route would move."""
    if network.internal:
        return
    networks = {known.id: known for known in facts.networks}
    for container in joining:
        present = gateway_network(container, networks)
        if present is None:
            yield container.name, "no network"
            continue
        priority = max(e.gateway_priority for e in container.endpoints if e.network_name == present)
        if (0, network.name) < (-priority, present):
            yield container.name, present
