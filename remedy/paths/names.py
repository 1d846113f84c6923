"""What a container's name means to another container: the engine's DNS, which answers on user-defined networks only."""

from __future__ import annotations

from remedy.facts.model import Address, Container, Endpoint, HostFacts
from remedy.paths.clients import CONTAINER_PREFIX
from remedy.paths.verdict import Step, Verdict

DEFAULT_NETWORK = "bridge"


def addresses_of_name(facts: HostFacts, source: str, name: str) -> tuple[Address, ...]:
    """The addresses that `source` (a container's name) is told for `name`, IPv4 first; () when nobody answers.

    The engine looks through the asker's networks, and answers with all containers of the first on which somebody
    is called so. The default network `bridge` has no names.
    """
    asker = next((c for c in facts.containers if c.name == source.removeprefix(CONTAINER_PREFIX)), None)
    for endpoint in () if asker is None else asker.endpoints:
        if endpoint.network_name == DEFAULT_NETWORK:
            continue
        found = [
            interface.ip
            for container in facts.containers
            for other in container.endpoints
            if other.network_id == endpoint.network_id and _answers_to(container, other, name)
            for interface in (other.ipv4, other.ipv6)
            if interface is not None
        ]
        if found:
            return tuple(sorted(found, key=lambda address: (address.version, int(address))))
    return ()


def _answers_to(container: Container, endpoint: Endpoint, name: str) -> bool:
    if not container.is_running:
        return False
    names = (container.name, *endpoint.aliases, *endpoint.dns_names)
    return name.lower() in (known.lower() for known in names)


def unresolved(source: str, name: str, port: int) -> Verdict:
    """The answer to a connection to a name that nobody has there."""
    return Verdict(
        from_=source,
        to=f"{name}:{port}",
        reachable=False,
        via="none",
        failure="unreachable",
        steps=(
            Step(
                where="the engine's DNS",
                what=f"{name} is not known to {source}",
                why="names are answered between containers of one user-defined network, for those that run",
            ),
        ),
    )
