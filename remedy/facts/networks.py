"""Docker's networks and the bridges behind them."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from remedy.facts.model import Address, InterfaceAddress, Network, Subnet

Answer = dict[str, Any]
_BRIDGE_NAME = "com.docker.network.bridge.name"


def parse_network(network: Answer) -> Network:
    """Read one network of the engine's answer to /networks."""
    ranges = (network.get("IPAM") or {}).get("Config") or ()
    options = network.get("Options") or {}
    return Network(
        id=network["Id"],
        name=network["Name"],
        driver=network.get("Driver") or "",
        scope=network.get("Scope") or "",
        internal=bool(network.get("Internal")),
        enable_ipv6=bool(network.get("EnableIPv6")),
        subnets=tuple(ip_network(item["Subnet"]) for item in ranges if item.get("Subnet")),
        # Some clients once wrote the gateway with its prefix length.
        gateways=tuple(ip_address(item["Gateway"].split("/")[0]) for item in ranges if item.get("Gateway")),
        bridge=_bridge_of(network, options),
        options=options,
        labels=network.get("Labels") or {},
    )


def with_bridge_addresses(network: Network, addresses: Sequence[InterfaceAddress]) -> Network:
    """Fill in gateways that the engine does not tell, from the bridge's own addresses.

    Networks made with an explicit subnet and no gateway have none in the engine's answer, and the default
    bridge of 20.10 neither: the bridge's address in the subnet is it.
    """
    own = [found.address.ip for found in addresses if found.interface == network.bridge]
    gateways = tuple(gateway for subnet in network.subnets for gateway in _gateways_in(subnet, network, own))
    return network.model_copy(update={"gateways": gateways})


def _gateways_in(subnet: Subnet, network: Network, bridge_addresses: Sequence[Address]) -> list[Address]:
    told = [gateway for gateway in network.gateways if gateway in subnet]
    return told or [address for address in bridge_addresses if address in subnet][:1]


def _bridge_of(network: Answer, options: dict[str, str]) -> str | None:
    if network.get("Driver") != "bridge":
        return None
    return options.get(_BRIDGE_NAME) or f"br-{network['Id'][:12]}"
