"""Hosts to examine: recorded ones, and recorded ones with something done to them."""

from __future__ import annotations

import gzip
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from remedy.captures.facts import load_capture
from remedy.captures.files import read_capture
from remedy.doctor.diagnosis import diagnose
from remedy.doctor.model import Diagnosis, Finding
from remedy.doctor.patient import Measured
from remedy.facts.model import Connection, ConntrackEntry, HostFacts, IptablesTables, Link

TESTS = Path(__file__).parents[2]
GATEWAY = ip_address("172.17.0.1")
HAPROXY = ip_address("172.17.0.2")


@cache
def operator(engine: str = "28.5") -> HostFacts:
    """The operator topology: haproxy in a container, three backends behind the gateway's ports 5001 to 5003."""
    return _saved(f"operator-{engine}")


@cache
def cross_network() -> HostFacts:
    """haproxy on another network than its backends."""
    return _saved("cross-26.1")


@cache
def quiet() -> HostFacts:
    """The operator topology with nobody on it, and nobody who means to come: conntrack empty, no haproxy found."""
    facts = operator()
    return changed(facts, haproxies=(), conntrack={"entries": (), "count": 12})


@cache
def capture(name: str) -> HostFacts:
    return load_capture(read_capture(TESTS / "captures" / f"{name}.tar.xz"))


def _saved(name: str) -> HostFacts:
    path = TESTS / "unit" / "plan" / "data" / f"facts-{name}.json.gz"
    return HostFacts.model_validate_json(gzip.decompress(path.read_bytes()))


def changed(facts: HostFacts, **changes: Any) -> HostFacts:
    """The host with other values; a mapping for a model changes single fields of it, and of sysctls single ones."""
    update = {}
    for name, value in changes.items():
        old = getattr(facts, name)
        if name == "sysctls":
            update[name] = {**old, **value}
        else:
            update[name] = old.model_copy(update=value) if isinstance(value, dict) else value
    return facts.model_copy(update=update)


def with_container(facts: HostFacts, container: str, **changes: Any) -> HostFacts:
    containers = tuple(c.model_copy(update=changes) if c.name == container else c for c in facts.containers)
    return facts.model_copy(update={"containers": containers})


def with_connections(facts: HostFacts, *connections: Connection) -> HostFacts:
    first, *rest = facts.namespaces
    return facts.model_copy(update={"namespaces": (first.model_copy(update={"connections": connections}), *rest)})


def with_link(facts: HostFacts, link: Link) -> HostFacts:
    first, *rest = facts.namespaces
    return facts.model_copy(update={"namespaces": (first.model_copy(update={"links": (*first.links, link)}), *rest)})


def with_rules(facts: HostFacts, *tables: IptablesTables) -> HostFacts:
    return changed(facts, firewall={"tables": (*facts.firewall.tables, *tables)})


def with_edited_rules(facts: HostFacts, old: str, new: str) -> HostFacts:
    edited = tuple(t.model_copy(update={"text": t.text.replace(old, new)}) for t in facts.firewall.tables)
    return changed(facts, firewall={"tables": edited})


def pid_of(facts: HostFacts, port: int, version: int = 4) -> int:
    proxies = facts.docker_proxies
    return next(p.pid for p in proxies if p.host_port == port and p.host_address.version == version)


def held(
    facts: HostFacts, port: int, *, client: str = "172.17.0.2", to: str = "172.17.0.1", count: int = 1
) -> Connection:
    """A client's connection that the port's docker-proxy holds."""
    return Connection(
        local_address=ip_address(to),
        local_port=port,
        remote_address=ip_address(client),
        remote_port=40000,
        state="ESTABLISHED",
        inode=7,
        pid=pid_of(facts, port, ip_address(to).version),
        program="docker-proxy",
        count=count,
    )


def tracked(
    port: int, *, client: str = "172.17.0.2", count: int = 1, server: tuple[str, int] | None = None
) -> ConntrackEntry:
    """A conntrack entry to the gateway; server: where DNAT led it."""
    answers = server or ("172.17.0.1", port)
    return ConntrackEntry(
        protocol="tcp",
        source=ip_address(client),
        source_port=40000,
        destination=GATEWAY,
        destination_port=port,
        reply_source=ip_address(answers[0]),
        reply_source_port=answers[1],
        reply_destination=ip_address(client),
        reply_destination_port=40000,
        state="TIME_WAIT",
        count=count,
    )


def found(facts: HostFacts, code: str, measured: Measured | None = None) -> list[Finding]:
    return [finding for finding in diagnose(facts, measured).findings if finding.code == code]


def only(facts: HostFacts, code: str, measured: Measured | None = None) -> Finding:
    (finding,) = found(facts, code, measured)
    return finding


def codes(diagnosis: Diagnosis) -> list[str]:
    return [finding.code for finding in diagnosis.findings]


def evidence_of(finding: Finding) -> str:
    return "\n".join(f"{item.what} | {item.where}" for item in finding.evidence)
