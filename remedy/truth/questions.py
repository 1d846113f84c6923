"""Which connections are asked of a host: of all that could be, some of every sort."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from remedy.facts.model import Address, Container, HostFacts, NetNamespace, Protocol
from remedy.spec.models import HostPort
from remedy.truth.containers import HOST_NETWORK_PORT, LISTENS, SIDE_PORT
from remedy.truth.foreign import NFT_PORT, OWN_PORT, REDIRECTED_PORT
from remedy.truth.outside import (
    CLIENT,
    CLIENT6,
    CLIENT_ASKEW,
    CLIENT_OTHER,
    HOST_ADDRESS,
    HOST_ADDRESS6,
    HOST_OTHER,
    HOST_SECOND,
    OTHER_CABLE,
    PORT,
)

HOST, EXTERNAL = "host", "external"
SERVICES = (
    *("tcp,0.0.0.0,7003", "tcp,::,7003", "tcp,127.0.0.1,7004", "tcp,172.17.0.1,7002"),
    f"udp,{HOST_ADDRESS},7005",
)
NOBODY = ip_address("192.0.2.9"), ip_address("192.0.2.200"), ip_address("172.17.0.250")


@dataclass(frozen=True, slots=True)
class Question:
    """One connection. sort: what it is like, so that some of each sort are asked."""

    source: str
    client: Address | None
    to: HostPort
    sort: tuple[str, str]

    @property
    def interface(self) -> str | None:
        """By which cable a client outside sends."""
        if self.source != EXTERNAL:
            return None
        return "eth2" if self.to.address in OTHER_CABLE else "eth1"


def random_questions(facts: HostFacts, chance: random.Random, count: int) -> list[Question]:
    """At most `count` connections, the rare sorts as often as the frequent ones."""
    by_sort: dict[tuple[str, str], list[Question]] = {}
    for question in all_questions(facts):
        by_sort.setdefault(question.sort, []).append(question)
    for questions in by_sort.values():
        chance.shuffle(questions)
    chosen: list[Question] = []
    while by_sort and len(chosen) < count:
        for sort in sorted(by_sort):
            chosen.append(by_sort[sort].pop())
            if not by_sort[sort]:
                del by_sort[sort]
    return chosen[:count]


def all_questions(facts: HostFacts) -> Iterator[Question]:
    """Every client to every address and port that means anything on this host."""
    sources = list(_sources(facts))
    for to, sort in sorted(_targets(facts), key=lambda each: (each[1], str(each[0]))):
        for name, client, kind in sources:
            if client is None or client.version == to.address.version:
                if name == EXTERNAL and (to.address.is_loopback or sort in ("outside", "nobody")):
                    continue
                yield Question(name, client, to, (kind, sort))


def _sources(facts: HostFacts) -> Iterator[tuple[str, Address | None, str]]:
    yield HOST, None, "host"
    clients: tuple[Address, ...] = (CLIENT, CLIENT_OTHER, CLIENT_ASKEW, CLIENT6)
    for number, address in enumerate(clients):
        yield EXTERNAL, address, f"external{number}"
    for space in facts.namespaces:
        if space.is_host:
            continue
        members = [c for c in facts.containers if c.id in space.containers]
        first = next((c for c in members if not c.network_mode.startswith("container:")), members[0])
        yield first.name, None, "on two" if len(first.endpoints) > 1 else f"on {first.network_mode}"


def _targets(facts: HostFacts) -> Iterator[tuple[HostPort, str]]:
    host = next(space for space in facts.namespaces if space.is_host)
    places = list(_host_places(host))
    published = {(p.protocol, p.host_port) for c in facts.containers for p in c.ports}
    for protocol, port in sorted(published):
        for address, sort in places:
            yield HostPort(address=address, port=port, protocol=protocol), f"published at {sort}"
    for port in (7002, 7003, 7004, HOST_NETWORK_PORT, OWN_PORT, REDIRECTED_PORT, NFT_PORT):
        for address, sort in places:
            yield HostPort(address=address, port=port), f"service at {sort}"
    yield HostPort(address=HOST_ADDRESS, port=7005, protocol=Protocol.UDP), "service on UDP"
    for address in (CLIENT, CLIENT6):
        for protocol in (Protocol.TCP, Protocol.UDP):
            yield HostPort(address=address, port=PORT, protocol=protocol), "outside"
    for address in NOBODY:
        yield HostPort(address=address, port=80), "nobody"
    for container in facts.containers:
        yield from _direct(container)


def _host_places(host: NetNamespace) -> Iterator[tuple[Address, str]]:
    yield ip_address("127.0.0.1"), "loopback"
    yield ip_address("::1"), "loopback6"
    yield HOST_ADDRESS, "lan"
    yield HOST_SECOND, "second"
    yield HOST_OTHER, "other"
    yield HOST_ADDRESS6, "lan6"
    for found in host.addresses:
        if found.scope == "global" and found.interface not in ("lo", "eth0", "eth1", "eth2"):
            yield found.address.ip, "gateway" if found.address.version == 4 else "gateway6"


def _direct(container: Container) -> Iterator[tuple[HostPort, str]]:
    for endpoint in container.endpoints:
        for interface in (endpoint.ipv4, endpoint.ipv6):
            if interface is None:
                continue
            for port in (*LISTENS, SIDE_PORT):
                yield HostPort(address=interface.ip, port=port), f"direct{interface.version}"
            yield HostPort(address=interface.ip, port=8081, protocol=Protocol.UDP), f"direct{interface.version} on UDP"
