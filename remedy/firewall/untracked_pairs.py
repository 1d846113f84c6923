"""Untracked pairs with the addresses of today, and those that the host's rules have: pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from itertools import pairwise
from typing import Any

from remedy.facts.model import Address, Endpoint, FirewallBackend, FirewallFacts, HostFacts
from remedy.firewall import names
from remedy.firewall.iptables_rules import Family
from remedy.firewall.iptables_save import rules_of
from remedy.firewall.iptables_variant import saved_text
from remedy.firewall.ruleset import RulesetName, UntrackedPair

NOTRACK: RulesetName = "notrack"
Json = Any  # nft's JSON
Key = tuple[str, Address, Address, int]  # protocol, client, server, the server's port


def on_their_networks(
    pairs: Iterable[UntrackedPair], endpoints: Mapping[str, Sequence[Endpoint]], bridges: Mapping[str, str | None]
) -> tuple[UntrackedPair, ...]:
    """The pairs at the addresses that their containers have on the network now; without those that are not on it.

    endpoints: of running containers, by name; bridges: by the network's name.
    """
    found = []
    for pair in pairs:
        client = _address(endpoints.get(pair.client, ()), pair)
        server = _address(endpoints.get(pair.server, ()), pair)
        bridge = bridges.get(pair.network)
        if client is not None and server is not None and bridge:
            changed = {"client_address": client, "server_address": server, "bridge": bridge}
            found.append(pair.model_copy(update=changed))
    return tuple(found)


def of_today(pairs: Iterable[UntrackedPair], facts: HostFacts) -> tuple[UntrackedPair, ...]:
    """The same, by the facts."""
    endpoints = {container.name: container.endpoints for container in facts.containers if container.is_running}
    return on_their_networks(pairs, endpoints, {network.name: network.bridge for network in facts.networks})


def present_pairs(firewall: FirewallFacts) -> tuple[Key, ...]:
    """The pairs that remedy's rules on the host keep from conntrack, whoever they belong to."""
    if firewall.backend is FirewallBackend.IPTABLES_LEGACY:
        families: tuple[Family, ...] = (4, 6)
        return tuple(key for family in families for key in _in_iptables(saved_text(firewall, family, "legacy")))
    titles = (f"{family} {names.nft_table(NOTRACK)}" for family in ("ip", "ip6"))
    return tuple(key for title in titles for key in _in_nft(firewall.nft_json.get(title, [])))


def _address(endpoints: Sequence[Endpoint], pair: UntrackedPair) -> Address | None:
    for endpoint in endpoints:
        interface = endpoint.ipv4 if pair.family == 4 else endpoint.ipv6
        if endpoint.network_name == pair.network and interface is not None:
            return interface.ip
    return None


def _in_iptables(text: str) -> Iterator[Key]:
    for rule in rules_of(text, "raw", names.chain(NOTRACK, "PRE")):
        words = rule.specification.split()
        given = dict(pairwise(words))
        if {"-s", "-d", "-p", "--dport"} <= given.keys():
            client, server = (ip_address(given[name].partition("/")[0]) for name in ("-s", "-d"))
            yield given["-p"], client, server, int(given["--dport"])


def _in_nft(items: Iterable[Json]) -> Iterator[Key]:
    for item in items:
        found = item.get("set", {})
        for element in found.get("elem", ()) if str(found.get("name", "")).startswith("pairs") else ():
            value = element["elem"]["val"] if "elem" in element else element
            *_, protocol, client, server, port = value["concat"]
            yield str(protocol), ip_address(client), ip_address(server), int(port)
