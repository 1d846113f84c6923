"""A random host from a seed: the same seed gives the same host."""

from __future__ import annotations

import random

from pydantic import JsonValue

from remedy.lab.topology import Container, Publish, Topology
from remedy.truth.containers import LISTENS, Ports, random_changes, random_containers, random_moves
from remedy.truth.foreign import Ground, random_rules, random_settings
from remedy.truth.networks import random_networks
from remedy.truth.outside import HOST_ADDRESS
from remedy.truth.scenario import Kind, ProxyMode, Scenario, source_of_chance


def generate(seed: int, kind: Kind) -> Scenario:
    """The host of a seed and a column of the matrix."""
    chance = source_of_chance(seed, kind)
    options = _engine_options(chance, kind)
    networks = random_networks(chance, kind)
    ports = Ports()
    containers = random_containers(chance, networks, ports, ipv6=kind.has_28 or "ip6tables" in options)
    changes = (*random_changes(chance, containers), *random_moves(chance, containers, networks))
    names, rules = random_rules(Ground(chance, containers, networks))
    settings = random_settings(chance)
    rules_first = chance.random() < 0.3 and not {"docker-user"} & set(names)
    lines = ("true", *rules)
    return Scenario(
        seed=seed,
        kind=kind,
        topology=Topology(
            daemon_json={**options, "userland-proxy": kind.proxy is not ProxyMode.OFF},
            sysctls={"net.ipv4.ip_forward": chance.choice((0, 1, 1))},
            networks=networks,
            containers=containers,
        ),
        before=lines if rules_first else (),
        after=(*(() if rules_first else lines), *(line for own in settings.values() for line in own)),
        changes=changes,
        late=_late(ports) if kind.proxy is ProxyMode.FLIPPED else Topology(),
        features=(
            *(f"{key}={value}" for key, value in options.items()),
            *(network.name for network in networks),
            *names,
            *settings,
        ),
    )


def _engine_options(chance: random.Random, kind: Kind) -> dict[str, JsonValue]:
    options: dict[str, JsonValue] = {}
    if not kind.has_28 and chance.random() < 0.5:
        options |= {"experimental": True, "ip6tables": True}
    if chance.random() < 0.15:
        options["icc"] = False
    if chance.random() < 0.15:
        options["ip"] = chance.choice(("127.0.0.1", str(HOST_ADDRESS)))
    if chance.random() < 0.1:
        options["ip-masq"] = False
    if kind.has_28 and chance.random() < 0.15:
        options["ip6tables"] = False
    if kind.has_28 and chance.random() < 0.25:
        options["allow-direct-routing"] = True
    return options


def _late(ports: Ports) -> Topology:
    """A container that starts after the proxy was switched off."""
    late = Container(
        name="late", listen=LISTENS, publish=(Publish(port=8080, host_port=ports.take()),), restart="unless-stopped"
    )
    return Topology(containers=(late,))
