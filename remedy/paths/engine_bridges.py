"""The engine's bridges as its rules see them, and the translations that stand in these rules."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from typing import Any, Literal

from remedy.facts.model import Address, FirewallBackend, HostFacts, Network, Protocol
from remedy.firewall.iptables_save import rules_of

Family = Literal[4, 6]
ENGINE_TABLES: dict[Family, str] = {4: "ip docker-bridges", 6: "ip6 docker-bridges"}
NFT_TRANSLATIONS = "nat-prerouting-and-output"

_DNAT = re.compile(
    r"-A DOCKER (?:.* )?-p (?P<protocol>\w+) .*--dport (?P<port>\d+) "
    r"-j DNAT --to-destination (?:\[(?P<v6>[^\]]+)\]|(?P<v4>[^:]+)):(?P<to_port>\d+)"
)


@dataclass(frozen=True, slots=True)
class Translation:
    """One DNAT rule of the engine's."""

    protocol: Protocol
    port: int
    to_address: Address
    to_port: int


@dataclass(frozen=True)
class EngineBridges:
    """What the engine's rules of one family are made from."""

    family: Family
    networks: tuple[Network, ...]
    addresses: Mapping[Address, str]  # a container's -> the bridge it is on

    @classmethod
    def of(cls, facts: HostFacts, family: Family) -> EngineBridges:
        """The bridge networks that have this family, internal ones left out: the engine translates nothing there."""
        bridges = {network.id: network.bridge for network in facts.networks if network.bridge}
        networks = tuple(
            network
            for network in facts.networks
            if network.driver == "bridge"
            and network.bridge
            and not network.internal
            and any(subnet.version == family for subnet in network.subnets)
        )
        addresses = {
            interface.ip: bridges[endpoint.network_id]
            for container in facts.containers
            for endpoint in container.endpoints
            for interface in (endpoint.ipv4, endpoint.ipv6)
            if interface is not None and endpoint.network_id in bridges
        }
        return cls(family, networks, addresses)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The bridges, in the order of their networks' names."""
        return tuple(network.bridge for network in self.networks if network.bridge)

    @property
    def masqueraded(self) -> tuple[str, ...]:
        """Those whose containers are masqueraded on their way out."""
        option = "com.docker.network.bridge.enable_ip_masquerade"
        return tuple(n.bridge for n in self.networks if n.bridge and n.options.get(option, "true") != "false")

    def host_address(self, bridge: str) -> str | None:
        """The address that the host's connections into a bridge are to come from, if the network has that option."""
        option = f"com.docker.network.host_ipv{self.family}"
        return next((n.options[option] for n in self.networks if n.bridge == bridge and option in n.options), None)

    def bridge_of(self, address: Address) -> str | None:
        """The bridge behind which an address is, by the container that has it, else by the subnet."""
        known = self.addresses.get(address)
        if known is not None:
            return known
        return next((n.bridge for n in self.networks if any(address in subnet for subnet in n.subnets)), None)


def engine_variant(facts: HostFacts) -> str:
    """Which variant of iptables has the engine's rules; "" where it writes nft tables itself."""
    variants = {FirewallBackend.IPTABLES_LEGACY: "legacy", FirewallBackend.IPTABLES_NFT: "nft"}
    return variants.get(facts.firewall.backend, "")


def translations(facts: HostFacts) -> tuple[Translation, ...]:
    """Every DNAT rule of the engine's, both families."""
    variant = engine_variant(facts)
    found: list[Translation] = []
    for saved in facts.firewall.tables:
        if saved.variant == variant:
            found += translations_of([rule.specification for rule in rules_of(saved.text, "nat", "DOCKER")])
    if not variant:
        for title in ENGINE_TABLES.values():
            found += _nft_translations(facts.firewall.nft_json.get(title, []))
    return tuple(found)


def translations_of(rules: Sequence[str]) -> Iterator[Translation]:
    """Those in the text of nat's chain DOCKER."""
    for match in filter(None, map(_DNAT.match, rules)):
        address = ip_address(match["v6"] or match["v4"])
        yield Translation(Protocol(match["protocol"]), int(match["port"]), address, int(match["to_port"]))


def _nft_translations(items: Sequence[Any]) -> Iterator[Translation]:
    for item in items:
        rule = item.get("rule", {})
        if rule.get("chain") == NFT_TRANSLATIONS and (found := nft_translation(rule["expr"])) is not None:
            yield found


def nft_translation(expressions: Sequence[Any]) -> Translation | None:
    """What a rule of the engine's nft table translates; None when it translates nothing."""
    to: Any = next((item["dnat"] for item in expressions if "dnat" in item), None)
    matches = [item["match"] for item in expressions if "match" in item]
    ports = [m for m in matches if m["left"].get("payload", {}).get("field") == "dport"]
    if not isinstance(to, dict) or not ports or not isinstance(to.get("addr"), str) or "port" not in to:
        return None
    protocol = Protocol(ports[0]["left"]["payload"]["protocol"])
    return Translation(protocol, int(ports[0]["right"]), ip_address(to["addr"]), int(to["port"]))
