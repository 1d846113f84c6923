"""What the watcher knows of the host between two looks, and how it is brought to the engine's list of now. Pure.

That is not most of a look: the watcher waits for nearly all of its life.
"""

from __future__ import annotations

from collections.abc import Sequence

from remedy.facts.containers import parse_listed
from remedy.facts.engine_api import Answer
from remedy.facts.model import Container, HostFacts, NetNamespace
from remedy.paths.published import container_by_address


def kept_for_quick(facts: HostFacts) -> HostFacts:
    """What the rules alone are decided by, together with the engine's next list of containers."""
    return facts.model_copy(
        update={
            "namespaces": _host_addresses(facts),
            "firewall": facts.firewall.model_copy(update={"tables": (), "nft_tables": ()}),
            "conntrack": facts.conntrack.model_copy(update={"entries": ()}),
            "compose_projects": (),
            "bridge_ports": (),
            "haproxies": (),
        }
    )


def with_listed(facts: HostFacts, listed: Sequence[Answer]) -> HostFacts:
    """The facts with the containers of the engine's list, as far as that tells.

    A docker-proxy is evidence of its container's address only where that is what it was at the last look.
    """
    known = {container.id: container for container in facts.containers}
    containers = tuple(
        sorted((parse_listed(item, known.get(item["Id"])) for item in listed), key=lambda container: container.name)
    )
    same = {container.id for container in containers if _is_as_known(container, known.get(container.id))}
    addresses = {
        address
        for address, container in container_by_address(facts.model_copy(update={"containers": containers})).items()
        if container.id in same
    }
    proxies = tuple(proxy for proxy in facts.docker_proxies if proxy.container_address in addresses)
    return facts.model_copy(update={"containers": containers, "docker_proxies": proxies})


def _is_as_known(container: Container, known: Container | None) -> bool:
    return known is not None and [(e.network_id, e.ipv4, e.ipv6) for e in container.endpoints] == [
        (e.network_id, e.ipv4, e.ipv6) for e in known.endpoints
    ]


def _host_addresses(facts: HostFacts) -> tuple[NetNamespace, ...]:
    """The host's own namespace, of which the addresses count."""
    gone = {"links": (), "routes": (), "rules": (), "listening": (), "connections": ()}
    return tuple(space.model_copy(update=gone) for space in facts.namespaces if space.is_host)
