"""The host after a change, before it is made: pure functions from facts to facts.

Only what decides a packet's way is changed: rules, sysctls, bridge ports, docker-proxy and its sockets. What was seen
of traffic (connections, conntrack) stays as it was seen.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from remedy.facts.model import FirewallFacts, HostFacts
from remedy.firewall import own_rules
from remedy.firewall.ruleset import Ruleset, RulesetName
from remedy.host.sysctls import conf_name
from remedy.paths.engine_bridges import ENGINE_TABLES, EngineBridges, engine_variant
from remedy.paths.engine_versions import sets_bridge_nf
from remedy.paths.own_tables import with_own_tables
from remedy.paths.proxy_in_iptables import ProxyInIptables
from remedy.paths.proxy_in_nft import ProxyInNft
from remedy.paths.proxy_sockets import with_proxies, without_proxies

_FAMILIES: tuple[Literal[4, 6], ...] = (4, 6)
_BRIDGE_NF = {4: "net.bridge.bridge-nf-call-iptables", 6: "net.bridge.bridge-nf-call-ip6tables"}
_FORWARDING = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}


def with_sysctls(facts: HostFacts, values: Mapping[str, str]) -> HostFacts:
    """With these sysctls set."""
    return facts.model_copy(update={"sysctls": {**facts.sysctls, **values}})


def with_hairpin_mode(facts: HostFacts, interfaces: Collection[str] | None = None, *, on: bool = True) -> HostFacts:
    """With hairpin_mode on or off at these bridge ports (None: at every port of the engine's bridges)."""
    bridges = {network.bridge for network in facts.networks if network.driver == "bridge"}
    ports = (
        port.model_copy(update={"hairpin_mode": on})
        if (port.bridge in bridges if interfaces is None else port.interface in interfaces)
        else port
        for port in facts.bridge_ports
    )
    return facts.model_copy(update={"bridge_ports": tuple(ports)})


def with_ruleset(facts: HostFacts, ruleset: Ruleset) -> HostFacts:
    """With this ruleset of remedy's written, as the writer for this host writes it. Raises RefusedError."""
    return facts.model_copy(update={"firewall": own_rules.with_ruleset(facts.firewall, ruleset)})


def without_ruleset(facts: HostFacts, name: RulesetName) -> HostFacts:
    """Without any rule of that ruleset."""
    return facts.model_copy(update={"firewall": own_rules.without_ruleset(facts.firewall, name)})


def with_userland_proxy(facts: HostFacts, *, on: bool) -> HostFacts:
    """After a restart of the engine with the proxy on or off, containers living through it (live-restore).

    hairpin_mode stays as it is, as the engine sets it only for containers that start. Foreign rules stay as they are;
    route_localnet and bridge-nf-call-iptables, which the engine sets while the proxy is off, are never set back.
    Which containers get an IPv6 proxy again is not in the facts of all engines; see proxy_sockets.
    """
    if facts.engine.userland_proxy is on:
        return facts
    engine = facts.engine.model_copy(
        update={"userland_proxy": on, "userland_proxy_evidence": "after a restart that is supposed, not made"}
    )
    # From the rules as they are: they say which container address is behind a published port, whatever the setting.
    served = with_proxies(facts) if on else without_proxies(facts)
    changed = served.model_copy(update={"engine": engine, "firewall": _firewall(facts, on=on)})
    return changed if on else with_sysctls(changed, _sysctls_without_proxy(facts))


def with_containers_restarted(facts: HostFacts) -> HostFacts:
    """What is different when containers started again under the engine as it is.

    Their bridge ports are new ones, and so are their namespaces, without rules of remedy's.

    They keep their addresses here; really the engine may give them others (measured: it does at times).
    """
    everybody = {container.id for container in facts.containers}
    started = with_own_tables(facts, everybody, empty=False)
    return with_hairpin_mode(started, on=facts.engine.userland_proxy is False)


def _firewall(facts: HostFacts, *, on: bool) -> FirewallFacts:
    """The engine's own rules, wherever it has them."""
    bridges = {family: EngineBridges.of(facts, family) for family in _FAMILIES}
    version, variant = facts.engine.version_tuple, engine_variant(facts)
    if variant:
        tables = tuple(
            saved.model_copy(
                update={"text": ProxyInIptables(version, bridges[saved.family]).switched(saved.text, on=on)}
            )
            if saved.variant == variant
            else saved
            for saved in facts.firewall.tables
        )
        return facts.firewall.model_copy(update={"tables": tables})
    known = facts.firewall.nft_json
    own = {
        title: ProxyInNft(bridges[family]).switched(known[title], on=on)
        for family, title in ENGINE_TABLES.items()
        if title in known
    }
    return facts.firewall.model_copy(update={"nft_json": {**known, **own}})


def _sysctls_without_proxy(facts: HostFacts) -> dict[str, str]:
    """What an engine without the proxy sets at its start."""
    bridges = sorted({n.bridge for n in facts.networks if n.driver == "bridge" and n.bridge})
    values = {conf_name(bridge, "route_localnet"): "1" for bridge in bridges}
    if not sets_bridge_nf(facts.engine.version_tuple):
        return values
    # For each family that a network has, where the host forwards it (moby 0548fe251c).
    has_rules = {4: facts.engine.iptables, 6: facts.engine.iptables and facts.engine.ip6tables is not False}
    for family in _FAMILIES:
        forwards = facts.sysctls.get(_FORWARDING[family], "1") == "1"
        if has_rules[family] and forwards and _has_network(facts, family):
            values[_BRIDGE_NF[family]] = "1"
    return values


def _has_network(facts: HostFacts, family: int) -> bool:
    return any(
        network.driver == "bridge" and network.bridge and any(subnet.version == family for subnet in network.subnets)
        for network in facts.networks
    )
