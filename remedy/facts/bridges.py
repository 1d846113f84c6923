"""Ports of Linux bridges with their hairpin mode, and the container behind each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from remedy.facts.model import BridgePort, Container, NetNamespace

# include/uapi/linux/if_bridge.h, as `ip -details` names them
_STATES = {"disabled": 0, "listening": 1, "learning": 2, "forwarding": 3, "blocking": 4}


def parse_bridge_ports(links: Iterable[dict[str, Any]]) -> Iterator[BridgePort]:
    """Read the bridge ports among the items of `ip -json -details link`."""
    for link in links:
        info = link.get("linkinfo") or {}
        if info.get("info_slave_kind") != "bridge" or "master" not in link:
            continue
        port = info.get("info_slave_data") or {}
        state = port.get("state")
        yield BridgePort(
            bridge=link["master"],
            interface=link["ifname"],
            hairpin_mode=bool(port.get("hairpin")),
            isolated=bool(port["isolated"]) if "isolated" in port else None,
            state=state if isinstance(state, int) else _STATES.get(str(state)),
        )


def with_containers(
    ports: Iterable[BridgePort], namespaces: Sequence[NetNamespace], containers: Sequence[Container]
) -> tuple[BridgePort, ...]:
    """Say which container is behind each port: a veth's ends know each other's index."""
    host = next((namespace for namespace in namespaces if namespace.is_host), None)
    ends = {link.name: (link.index, link.peer_index) for link in host.links} if host else {}
    owners: dict[tuple[int, int | None], str] = {
        (link.peer_index, link.index): owner
        for namespace in namespaces
        if not namespace.is_host and (owner := _owner(namespace, containers)) is not None
        for link in namespace.links
        if link.peer_index is not None
    }
    found = (port.model_copy(update={"container_id": owners.get(ends.get(port.interface, (0, 0)))}) for port in ports)
    return tuple(sorted(found, key=lambda port: (port.bridge, port.interface)))


def _owner(namespace: NetNamespace, containers: Sequence[Container]) -> str | None:
    # Containers with network mode container:ID share the namespace of the one that has the endpoints.
    sharing = [container for container in containers if container.id in namespace.containers]
    with_endpoints = [container for container in sharing if container.endpoints]
    return next((container.id for container in (*with_endpoints, *sharing)), None)
