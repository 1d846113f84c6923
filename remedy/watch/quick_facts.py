"""What the watcher knows of the host between two looks, and how it is brought to the engine's list of now. Pure.

That is not most of a look: the watcher waits for nearly all of its life.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass

from remedy.facts.containers import parse_listed
from remedy.facts.engine_api import Answer
from remedy.facts.model import Container, FirewallBackend, HostFacts, NetNamespace
from remedy.paths.published import container_by_address

_UNTOLD: dict[str, object] = {"command": (), "entrypoint": (), "environment": {}, "mounts": ()}
_LISTED: dict[str, object] = {"labels": {}, "ports": ()}  # the next list has them anew


@dataclass(frozen=True, slots=True)
class QuickFacts:
    """What the rules alone are decided by, together with the engine's next list of containers; packed while it waits.

    As objects they are seven times as large. Worse: each look brings new ones, made while everything that it needs for
    a moment is there, and they keep Python from giving that memory back.
    """

    backend: FirewallBackend
    packed: bytes

    @classmethod
    def of(cls, facts: HostFacts) -> QuickFacts:
        """As much of the facts as a quick look needs."""
        kept = kept_for_quick(facts)
        kept = kept.model_copy(update={"containers": tuple(c.model_copy(update=_LISTED) for c in kept.containers)})
        return cls(facts.firewall.backend, pickle.dumps(kept, protocol=pickle.HIGHEST_PROTOCOL))

    def with_listed(self, listed: Sequence[Answer]) -> HostFacts:
        """The facts of now; they are unpacked in 10 ms with 200 containers."""
        return with_listed(pickle.loads(self.packed), listed)  # noqa: S301 (our own, of this version: see Apart)


def kept_for_quick(facts: HostFacts) -> HostFacts:
    """The facts without what no rule depends on: not what containers are told either, which may be secret."""
    return facts.model_copy(
        update={
            "containers": tuple(container.model_copy(update=_UNTOLD) for container in facts.containers),
            "docker_proxies": tuple(proxy.model_copy(update={"command_line": ()}) for proxy in facts.docker_proxies),
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
