"""What an engine left behind when its setting changed: nobody uses it, and it still does something."""

from __future__ import annotations

from collections.abc import Iterator

from remedy.doctor.model import Evidence, Finding
from remedy.doctor.patient import Patient
from remedy.facts.model import HostFacts
from remedy.firewall.names import COMMENT_PREFIX


def leftovers(patient: Patient) -> Iterator[Finding]:
    """Only while the proxy is on: without it the engine needs both."""
    if patient.facts.engine.userland_proxy is not True:
        return
    yield from _route_localnet(patient.facts)
    yield from _masquerade(patient.facts)


def _route_localnet(facts: HostFacts) -> Iterator[Finding]:
    if _has_own_rules(facts):
        return  # remedy's own rules need it, and their rollback puts it back
    bridges = {network.bridge: network.name for network in facts.networks if network.bridge}
    names = {bridge: f"net.ipv4.conf.{bridge}.route_localnet" for bridge in bridges}
    on = [bridge for bridge, name in names.items() if facts.sysctls.get(name) == "1"]
    if not on:
        return
    yield Finding(
        code="route-localnet-left",
        severity="medium",
        title=f"route_localnet is left on for {', '.join(on)}",
        evidence=tuple(
            Evidence(
                what=f"{names[bridge]} = 1, and the engine runs with docker-proxy", where=f"network {bridges[bridge]}"
            )
            for bridge in on
        ),
        consequence="containers on this bridge can send to 127.0.0.0/8 of the host, where services listen that trust "
        "whoever gets there; the engine sets this without docker-proxy and never sets it back",
        remedy="; ".join(f"sysctl -w {names[bridge]}=0" for bridge in on),
        confidence="seen",
    )


def _masquerade(facts: HostFacts) -> Iterator[Finding]:
    found = [
        (f"iptables-{tables.variant} nat", line)
        for tables in facts.firewall.tables
        for line in tables.text.splitlines()
        if line.startswith("-A POSTROUTING")
        and "--src-type LOCAL -j MASQUERADE" in line
        # 20.10 to 29 write it without docker-proxy only; up to 20.10 it stays (moby 44721).
        and COMMENT_PREFIX not in line
    ]
    if found:
        yield Finding(
            code="masquerade-left",
            severity="low",
            title="the engine's masquerade of an earlier setting is still there",
            evidence=tuple(Evidence(what=line, where=where) for where, line in found),
            consequence="servers see the gateway's address for connections from the host, as without docker-proxy; "
            "engines up to 20.10 leave this rule behind until the next boot (moby 44721)",
            remedy="; ".join(f"iptables -t nat -D {line.removeprefix('-A ')}" for _, line in found),
            confidence="likely",
        )


def _has_own_rules(facts: HostFacts) -> bool:
    own_tables = any(name.split()[-1].startswith("remedy") for name in facts.firewall.nft_tables)
    return own_tables or any(COMMENT_PREFIX in tables.text for tables in facts.firewall.tables)
