"""Random Docker networks: plain ones, and every option that changes how packets travel."""

from __future__ import annotations

import random
from collections.abc import Iterator
from ipaddress import ip_network

from remedy.lab.topology import Network
from remedy.truth.outside import CLIENT, ON_WIRE
from remedy.truth.scenario import Kind

_BRIDGE = "com.docker.network.bridge"
KINDS_OF_ALL = ("plain", "plain", "named", "internal", "noicc", "nomasq", "hostbind", "v6", "v6", "macvlan")
KINDS_OF_28 = ("nat-unprotected", "routed", "isolated", "trusted", "v6only")


def random_networks(chance: random.Random, kind: Kind) -> tuple[Network, ...]:
    """Two to five networks, with subnets of their own."""
    choices = [*KINDS_OF_ALL, *(KINDS_OF_28 if kind.has_28 else ())]
    found = chance.sample(choices, chance.randint(2, 5))
    return tuple(_network(n, which, kind) for n, which in enumerate(found, 1))


def _network(number: int, which: str, kind: Kind) -> Network:
    wants_ipv6 = which in ("v6", "v6only") or (which == "routed" and number % 2 == 0)
    if which == "macvlan":
        return _on_wire(number)
    subnets = [ip_network(f"172.30.{number}.0/24")] if which != "v6only" else []
    if wants_ipv6:
        subnets.append(ip_network(f"fd00:{number}::/64"))
    options = dict(_options(which, number))
    if wants_ipv6 and which == "routed" and kind.has_28:
        options[f"{_BRIDGE}.gateway_mode_ipv6"] = "routed"
    return Network(
        name=f"{which}{number}",
        subnets=tuple(subnets),
        internal=which in ("internal", "isolated"),
        ipv4=which != "v6only",
        ipv6=wants_ipv6,
        options=options,
    )


def _on_wire(number: int) -> Network:
    """Containers on the cable itself; the machine outside is their gateway, as a router would be."""
    return Network(
        name=f"macvlan{number}",
        driver="macvlan",
        subnets=(ON_WIRE,),
        options={"parent": "eth1"},
        gateway=str(CLIENT),
    )


def _options(which: str, number: int) -> Iterator[tuple[str, str]]:
    if number % 2:  # the other bridges have the names that the engine gives
        yield f"{_BRIDGE}.name", f"br-{which[:8]}{number}"
    match which:
        case "noicc":
            yield f"{_BRIDGE}.enable_icc", "false"
        case "nomasq":
            yield f"{_BRIDGE}.enable_ip_masquerade", "false"
        case "hostbind":
            yield f"{_BRIDGE}.host_binding_ipv4", "127.0.0.1"
        case "nat-unprotected" | "routed" | "isolated":
            yield f"{_BRIDGE}.gateway_mode_ipv4", which
        case "trusted":
            yield f"{_BRIDGE}.trusted_host_interfaces", "eth1"
