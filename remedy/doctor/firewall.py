"""The firewall around the engine's rules: two variants at once, a faulty iptables, policies, ufw and firewalld."""

from __future__ import annotations

from collections.abc import Iterator

from remedy.doctor.model import Evidence, Finding
from remedy.doctor.patient import Patient
from remedy.facts.model import FirewallBackend, HostFacts, IptablesTables
from remedy.netfilter.rules import Drop, Hook

_VARIANT = {FirewallBackend.IPTABLES_LEGACY: "legacy", FirewallBackend.IPTABLES_NFT: "nft"}
_SHOWN = 4
# iptables-nft 1.8.11: `-C` ignores the names of interfaces (moby 49667); distributions have patched it since.
_FAULTY_IPTABLES = "v1.8.11 (nf_tables)"
# Interfaces over which hosts forward traffic that is none of Docker's.
_OTHER_FORWARDERS = ("bridge", "wireguard", "tun", "vlan", "vxlan", "bond", "macvtap", "ipip", "gre")


def firewall(patient: Patient) -> Iterator[Finding]:
    """What is wrong with the rules as a whole."""
    yield from _both_variants(patient.facts)
    yield from _faulty_iptables(patient.facts)
    yield from _forward_policy(patient)


def _both_variants(facts: HostFacts) -> Iterator[Finding]:
    engine = _VARIANT.get(facts.firewall.backend)
    others = [tables for tables in facts.firewall.tables if tables.variant != engine and _has_rules(tables)]
    if engine is None:
        # Engine 29's own tables: a FORWARD policy of an earlier iptables setting still drops.
        others = [tables for tables in others if _drops_by_policy(tables) or "-A DOCKER" in tables.text]
    if not others:
        return
    engines_own = any("-A DOCKER" in tables.text for tables in others)
    drops = any(_drops_by_policy(tables) for tables in others)
    yield Finding(
        code="both-iptables-variants",
        severity="high" if drops else "medium",
        title=f"rules in iptables-{others[0].variant}, while the engine writes {facts.firewall.backend}",
        evidence=(
            Evidence(what=f"the engine writes {facts.firewall.backend}", where=facts.firewall.backend_evidence),
            *(
                Evidence(what=line, where=f"{tables.command}, IPv{tables.family}")
                for tables in others
                for line in _first_rules(tables)
            ),
        ),
        consequence="every packet passes both sets; a drop in one counts whatever the other accepts"
        + (", and Docker's chains there are of an earlier engine that no engine tends any more" if engines_own else "")
        + ". Who looks at one set only does not see why a packet is gone",
        remedy="move the rules over, then make one variant the only one: update-alternatives --config iptables (and "
        "ip6tables), and reboot",
        confidence="seen",
    )


def _has_rules(tables: IptablesTables) -> bool:
    return "\n-A " in f"\n{tables.text}" or _drops_by_policy(tables)


def _drops_by_policy(tables: IptablesTables) -> bool:
    return any(line.startswith(":") and " DROP" in line for line in tables.text.splitlines())


def _first_rules(tables: IptablesTables) -> list[str]:
    lines = tables.text.splitlines()
    policies = [line for line in lines if line.startswith(":") and " DROP" in line]
    rules = [line for line in lines if line.startswith("-A ")]
    rest = [f"and {len(rules) - _SHOWN} more rules"] if len(rules) > _SHOWN else []
    return [*policies[:2], *rules[:_SHOWN], *rest]


def _faulty_iptables(facts: HostFacts) -> Iterator[Finding]:
    version = facts.firewall.iptables_version or ""
    bridges = [n.bridge for n in facts.networks if n.driver == "bridge" and n.bridge and not n.internal]
    if not version.endswith(_FAULTY_IPTABLES) or facts.firewall.backend is not FirewallBackend.IPTABLES_NFT:
        return
    if len(bridges) < 2:
        return
    missing = _bridges_without_masquerade(facts, [bridge for bridge in bridges if bridge])
    yield Finding(
        code="iptables-1.8.11",
        severity="high" if missing else "low",
        title="iptables 1.8.11 does not tell rules apart that differ in an interface only",
        evidence=(
            Evidence(what=version, where=facts.firewall.backend_evidence),
            *(
                Evidence(what=f"{bridge} has no rule that masquerades, others have", where="nat POSTROUTING")
                for bridge in missing
            ),
        ),
        consequence="the engine asks it whether a rule is there already, is told yes, and leaves the rule out: without "
        "docker-proxy the ports of a second network are dead (moby 49667). Distributions have patched it since",
        remedy="update the package iptables; remedy itself never asks in that way",
        confidence="likely" if missing else "possible",
    )


def _bridges_without_masquerade(facts: HostFacts, bridges: list[str]) -> list[str]:
    if facts.engine.userland_proxy is not False:
        return []
    text = "\n".join(tables.text for tables in facts.firewall.tables if tables.family == 4)
    rule = "-A POSTROUTING -o {} -m addrtype --src-type LOCAL -j MASQUERADE"
    have = [bridge for bridge in bridges if rule.format(bridge) in text]
    return [bridge for bridge in bridges if bridge not in have] if have else []


def _forward_policy(patient: Patient) -> Iterator[Finding]:
    """DROP hits everything else that this host forwards; ACCEPT is told by who gets in (see neighbours)."""
    host = next((space for space in patient.facts.namespaces if space.is_host), None)
    docker = {network.bridge for network in patient.facts.networks}
    others = [
        link.name
        for link in (() if host is None else host.links)
        if link.kind in _OTHER_FORWARDERS and link.name not in docker and link.is_up and link.master is None
    ]
    dropping = [
        table.name
        for table in patient.tables
        for base in table.base_chains
        if base.hook is Hook.FORWARD and isinstance(base.policy, Drop)
    ]
    if not others or not dropping:
        return
    yield Finding(
        code="forward-policy-drop",
        severity="low",
        title=f"FORWARD drops what no rule accepts, and {', '.join(others[:_SHOWN])} may forward too",
        evidence=(Evidence(what="policy DROP", where=", ".join(dict.fromkeys(dropping))),),
        consequence="the engine sets this policy when it switches forwarding on; virtual machines, VPNs and other "
        "bridges of this host are cut off unless a rule of theirs stands in DOCKER-USER or FORWARD",
        remedy="accept their traffic in DOCKER-USER, or switch net.ipv4.ip_forward on before the engine starts",
        confidence="possible",
    )
