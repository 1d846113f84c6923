"""What a plan rests on, as text per item: its digest is the fingerprint, its entries name what changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from remedy.facts.model import Container, HaproxyFacts, HostFacts
from remedy.firewall.normal_form import normalised
from remedy.host.conntrack_settings import SIZING_SYSCTLS


def basis_of(facts: HostFacts) -> dict[str, str]:
    """Every fact that a plan depends on, "container dev1-api-1" -> text.

    Rules count as promised: foreign ones in their order, the engine's as a multiset per chain.
    """
    engine = facts.engine
    basis = {
        "host": facts.host.machine_id,
        "engine version": engine.version,
        "engine's userland proxy": str(engine.userland_proxy),
        "engine's live-restore": str(engine.live_restore),
        "engine's command line": " ".join(engine.command_line),
        "daemon.json": _digest(facts.daemon_json.raw or b"") if facts.daemon_json.exists else "absent",
        "firewall backend": facts.firewall.backend,
        "nftables tables": " ".join(sorted(facts.firewall.nft_tables)),
    }
    basis |= {f"container {c.name}": _container(c) for c in facts.containers}
    basis |= {
        f"network {n.name}": f"{n.id} {n.driver} {n.bridge} {n.internal} {[str(s) for s in n.subnets]}"
        for n in facts.networks
    }
    basis |= {
        f"hairpin mode of {p.interface}": f"{p.bridge} {p.hairpin_mode}"
        for p in facts.bridge_ports
        if p.container_id is not None
    }
    basis |= {
        f"sysctl {name}": value
        for name, value in facts.sysctls.items()
        if name.endswith("route_localnet") or "bridge-nf-call" in name or name in SIZING_SYSCTLS
    }
    sizing = facts.conntrack.sizing
    basis |= {
        f"file {file.path}": "absent" if file.raw is None else _digest(file.raw)
        for file in (sizing.own_files if sizing else ())
    }
    basis |= _haproxy_files(facts)
    basis |= {
        f"compose override {p.override.path}": "absent" if p.override.raw is None else _digest(p.override.raw)
        for p in facts.compose_projects
        if p.override is not None
    }
    for tables in facts.firewall.tables:
        key = f"rules of iptables-{tables.variant} IPv{tables.family}"
        basis[key] = _digest(repr(normalised(tables.text)).encode())
    return basis


def fingerprint_of(basis: Mapping[str, str]) -> str:
    """The digest of a basis, 64 hexadecimal digits."""
    lines = sorted(f"{key}\0{value}" for key, value in basis.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def changed_items(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """What differs, a line each: appeared, is gone, or changed."""
    lines = []
    for key in sorted(before.keys() | now.keys()):
        if key not in now:
            lines.append(f"{key}: is gone")
        elif key not in before:
            lines.append(f"{key}: appeared")
        elif before[key] != now[key]:
            lines.append(f"{key}: changed")
    return tuple(lines)


def _haproxy_files(facts: HostFacts) -> dict[str, str]:
    """Each file of each haproxy's configuration: what is in it, and which file it is."""
    names = {container.id: container.name for container in facts.containers}
    return {
        f"{file.path} of {_haproxy(haproxy, names)}": f"{_digest(file.raw)} {file.inode} {file.host_inode} "
        f"{file.mode:o} {file.uid}:{file.gid}"
        for haproxy in facts.haproxies
        for file in haproxy.files
    }


def _haproxy(haproxy: HaproxyFacts, names: Mapping[str, str]) -> str:
    if haproxy.container_id is None:
        return haproxy.unit or "haproxy on the host"
    return f"haproxy in {names.get(haproxy.container_id, haproxy.container_id[:12])}"


def _container(container: Container) -> str:
    addresses = [str(i) for e in container.endpoints for i in (e.ipv4, e.ipv6) if i is not None]
    ports = sorted(f"{p.host_address}:{p.host_port}>{p.container_port}/{p.protocol}" for p in container.ports)
    joined = [f"{e.network_name} {e.gateway_priority} {' '.join(sorted(e.aliases))}" for e in container.endpoints]
    return f"{container.id} {container.state} {container.started_at} {addresses} {ports} {joined}"


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
