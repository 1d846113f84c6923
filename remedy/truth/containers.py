"""Random containers: who publishes what, on which networks, in whose namespace, and in which state."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Literal

from remedy.lab.topology import Attachment, Container, Network, Publish
from remedy.truth.outside import HOST_ADDRESS, HOST_ADDRESS6, HOST_SECOND

FIRST_PORT = 5001
LISTENS = (8080, 8081, 8082)
SIDE_PORT = 8090
HOST_NETWORK_PORT = 7001
# Not let through by a container's own settings, and nothing that could be seen from the host.
PUBLISH_KINDS = ("all", "all", "all", "second", "lan", "loopback", "loopback6", "lan6", "range")


class Ports:
    """Host ports, each given once."""

    def __init__(self) -> None:
        self._next = FIRST_PORT

    def take(self, count: int = 1) -> int:
        """The first of `count` ports in a row."""
        first = self._next
        self._next += count
        return first


def random_containers(
    chance: random.Random, networks: Sequence[Network], ports: Ports, *, ipv6: bool
) -> tuple[Container, ...]:
    """A handful of servers and clients: one on the default bridge at least, one at least on each network."""
    names = ["bridge", *(network.name for network in networks)]
    homes = [*names, *chance.choices(names, k=2)]
    first = [_container(f"c{n}", home, names, chance, ports, ipv6=ipv6) for n, home in enumerate(homes)]
    return (*first, *_sharing(chance, first))


def _container(
    name: str, home: str, names: Sequence[str], chance: random.Random, ports: Ports, *, ipv6: bool
) -> Container:
    is_echo = chance.random() < 0.2
    others = [other for other in names if other not in (home, "bridge")]
    # A UDP server on two networks answers from whichever address its program likes: no matter of the host's.
    second = [chance.choice(others)] if others and home != "bridge" and not is_echo and chance.random() < 0.4 else []
    published = list(_published(chance, ports, is_echo=is_echo, ipv6=ipv6)) if chance.random() < 0.85 else []
    return Container(
        name=name,
        role="echo" if is_echo else "nginx",
        listen=LISTENS,
        publish=tuple(published),
        networks=tuple(Attachment(network=network) for network in (home, *second)) if home != "bridge" else (),
        restart="unless-stopped",
        stop_timeout=1,
        sysctls={"net.ipv4.conf.all.rp_filter": chance.choice("12")} if chance.random() < 0.2 else {},
    )


def _published(chance: random.Random, ports: Ports, *, is_echo: bool, ipv6: bool) -> Iterator[Publish]:
    choices = [kind for kind in PUBLISH_KINDS if ipv6 or not kind.endswith("6")]
    for kind in chance.choices(choices, k=chance.randint(1, 3)):
        if kind == "range":
            first = ports.take(len(LISTENS))
            yield from (Publish(port=port, host_port=first + n) for n, port in enumerate(LISTENS))
            continue
        protocol: Literal["tcp", "udp"] = "udp" if is_echo and chance.random() < 0.7 else "tcp"
        yield Publish(port=chance.choice(LISTENS), host_port=ports.take(), host_ip=_address(kind), protocol=protocol)


def _address(kind: str) -> str | None:
    addresses = {
        "second": HOST_SECOND,
        "lan": HOST_ADDRESS,
        "loopback": "127.0.0.1",
        "loopback6": "::1",
        "lan6": HOST_ADDRESS6,
    }
    return str(addresses[kind]) if kind in addresses else None


def _sharing(chance: random.Random, first: Sequence[Container]) -> Iterator[Container]:
    if chance.random() < 0.6:
        owner = chance.choice(first)
        yield Container(
            name="side", listen=(SIDE_PORT,), network_mode=f"container:{owner.name}", restart="unless-stopped"
        )
    if chance.random() < 0.6:
        yield Container(name="hostnet", listen=(HOST_NETWORK_PORT,), network_mode="host", restart="unless-stopped")


def random_changes(chance: random.Random, containers: Sequence[Container]) -> Iterator[tuple[str, str]]:
    """Containers that are restarted or stopped after all have started; none that others live in."""
    owners = {(container.network_mode or "").removeprefix("container:") for container in containers}
    free = [c.name for c in containers if c.name not in owners and not (c.network_mode or "").startswith("container:")]
    chosen = chance.sample(free, min(len(free), 2))
    return zip(chance.choices(("restart", "stop", "restart"), k=len(chosen)), chosen, strict=True)


def random_moves(
    chance: random.Random, containers: Sequence[Container], networks: Sequence[Network]
) -> Iterator[tuple[str, str]]:
    """A container that is put on one more network while it runs."""
    free = [c for c in containers if c.network_mode is None and c.role == "nginx"]
    bridges = [network.name for network in networks if network.driver == "bridge"]
    if chance.random() < 0.4 and free and bridges:
        container, network = chance.choice(free), chance.choice(bridges)
        if network not in {attachment.network for attachment in container.networks}:
            yield f"connect {network}", container.name
