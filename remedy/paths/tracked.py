"""Where the entries of the conntrack table come from: published ports, pairs of containers, and everything else."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from remedy.facts.conntrack_sizing import ended_per_second
from remedy.facts.model import Address, ConntrackEntry, ConntrackLosses, Container, HostFacts
from remedy.frozen import Frozen
from remedy.paths.published import container_by_address, host_addresses

# published: to a published port, whoever serves it; proxied: docker-proxy's own connection to its container, the second
# entry of each of its clients; pair: between two containers, the load balancer and a backend; other: nobody of these.
Kind = Literal["published", "proxied", "pair", "other"]


class Origin(Frozen):
    """Entries of one origin. what: "port 5001/tcp (dev1-api-1)", "dev1-haproxy-1 -> dev1-api-1:8080/tcp"."""

    kind: Kind
    what: str
    entries: int


class Tracked(Frozen):
    """The conntrack table of this network namespace, most entries first.

    fill: entries / maximum. bytes: what the entries occupy (None: not known). ended_per_second: TCP connections that
    have ended, on average over the time_wait timeout: the rate that remedy.yaml's connection_rate means, as long as it
    lasts. is_complete: False where there were more different flows than the reader keeps; they count as other.
    """

    entries: int
    maximum: int
    fill: float
    bytes: int | None
    ended_per_second: float | None
    losses: ConntrackLosses | None
    origins: tuple[Origin, ...]
    is_complete: bool


def tracked(facts: HostFacts) -> Tracked | None:
    """The table by origin; None where connections are not tracked, or the table was not read."""
    known = facts.conntrack
    if known.count is None or not known.maximum:
        return None
    entry_bytes = known.sizing.bytes_per_entry if known.sizing else None
    return Tracked(
        entries=known.count,
        maximum=known.maximum,
        fill=round(known.count / known.maximum, 4),
        bytes=None if entry_bytes is None else known.count * entry_bytes,
        ended_per_second=ended_per_second(facts),
        losses=known.losses,
        origins=_origins(facts, known.count),
        is_complete=known.entries_complete,
    )


def _origins(facts: HostFacts, count: int) -> tuple[Origin, ...]:
    places = _Places(facts)
    found: Counter[tuple[Kind, str]] = Counter()
    for entry in facts.conntrack.entries:
        found[places.origin_of(entry)] += entry.count
    # The count and the entries are read one after the other, while connections come and go.
    rest = max(count - found.total(), 0)
    if rest:
        found["other", "everything else"] += rest
    ordered = sorted(found.items(), key=lambda item: (item[0][0] == "other", -item[1], item[0]))
    return tuple(Origin(kind=kind, what=what, entries=entries) for (kind, what), entries in ordered)


class _Places:
    """Who has which address and port on this host."""

    def __init__(self, facts: HostFacts) -> None:
        self._host = host_addresses(facts)
        self._containers = container_by_address(facts)
        self._proxied = {(str(p.protocol), p.container_address, p.container_port) for p in facts.docker_proxies}
        self._published: dict[tuple[str, int], Container] = {}
        for container in facts.containers:
            for binding in container.ports if container.is_running else ():
                self._published.setdefault((str(binding.protocol), binding.host_port), container)

    def origin_of(self, entry: ConntrackEntry) -> tuple[Kind, str]:
        """The kind and name of an entry's origin."""
        server = self._containers.get(entry.destination)
        if server is not None:
            return self._to_container(entry, f"{server.name}:{entry.destination_port}/{entry.protocol}")
        port = (entry.protocol, entry.destination_port or 0)
        publisher = self._published.get(port)
        if publisher is not None and self._is_own(entry.destination):
            return "published", f"port {port[1]}/{port[0]} ({publisher.name})"
        return "other", "everything else"

    def _to_container(self, entry: ConntrackEntry, server: str) -> tuple[Kind, str]:
        client = self._containers.get(entry.source)
        if client is not None:
            return "pair", f"{client.name} -> {server}"
        ends = (entry.protocol, entry.destination, entry.destination_port)
        if self._is_own(entry.source) and ends in self._proxied:
            return "proxied", f"docker-proxy -> {server}"
        return "other", "everything else"

    def _is_own(self, address: Address) -> bool:
        return address.is_loopback or address in self._host
