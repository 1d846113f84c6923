"""Whether untracked pairs really are: their connections now, beside the conntrack entries that they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from remedy.facts.model import Address, HostFacts, Protocol
from remedy.firewall.untracked_pairs import Key, present_pairs
from remedy.frozen import Frozen
from remedy.paths.published import container_by_address
from remedy.spec.models import HostPort


class UntrackedTraffic(Frozen):
    """One pair of remedy's rules. connections: TCP connections between the two, those that ended a minute ago included.

    client and server: who has these addresses now; None when nobody has.
    """

    client: str | None
    server: str | None
    client_address: Address
    to: str
    connections: int
    entries: int


def untracked_traffic(facts: HostFacts, entries: Mapping[Key, int] | None = None) -> tuple[UntrackedTraffic, ...]:
    """Each pair that the host's rules keep from conntrack. entries: counted by the kernel now; else those of the facts.

    The facts have the entries of published ports' containers and of haproxy's servers, and the same connections.
    """
    owners = container_by_address(facts)
    counted = _entries_of(facts) if entries is None else entries
    found = []
    for key in present_pairs(facts.firewall):
        protocol, client, server, port = key
        ends = [owners.get(address) for address in (client, server)]
        names = [None if container is None else container.name for container in ends]
        found.append(
            UntrackedTraffic(
                client=names[0],
                server=names[1],
                client_address=client,
                to=str(HostPort(address=server, port=port, protocol=Protocol(protocol))),
                connections=_connections(facts, client, server, port) if protocol == Protocol.TCP else 0,
                entries=counted.get(key, 0),
            )
        )
    return tuple(found)


class OwnTableReport(Frozen):
    """The own conntrack table of a container that is an end of a pair. kept_empty: by remedy's rules there."""

    container: str
    entries: int | None
    kept_empty: bool


def own_tables(facts: HostFacts, traffic: Sequence[UntrackedTraffic]) -> tuple[OwnTableReport, ...]:
    """Of each end of these pairs, once a namespace; what they have from before the rules goes as it ends."""
    ends = {name for pair in traffic for name in (pair.client, pair.server)}
    names = {container.id: container.name for container in facts.containers}
    found = []
    for space in facts.namespaces:
        members = [names[identity] for identity in space.containers if names.get(identity) in ends]
        if members and space.own_table is not None and space.own_table.rules != "none":
            table = space.own_table
            found.append(OwnTableReport(container=members[0], entries=table.entries, kept_empty=table.kept_empty))
    return tuple(found)


def _connections(facts: HostFacts, client: Address, server: Address, port: int) -> int:
    total = 0
    for space in facts.namespaces:
        for one in () if space.is_host else space.connections:
            is_clients = (one.local_address, one.remote_address, one.remote_port) == (client, server, port)
            is_servers = (one.local_address, one.local_port, one.remote_address) == (server, port, client)
            # Both ends have an open one; a closed one is with the end that closed it first.
            if is_clients or (is_servers and one.state == "TIME-WAIT"):
                total += one.count
    return total


def _entries_of(facts: HostFacts) -> dict[Key, int]:
    found: dict[Key, int] = {}
    for entry in facts.conntrack.entries:
        key = (entry.protocol, entry.source, entry.destination, entry.destination_port or 0)
        found[key] = found.get(key, 0) + entry.count
    return found
