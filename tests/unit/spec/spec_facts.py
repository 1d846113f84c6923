"""Hosts for the proposal's tests, as facts: only what the proposal reads is filled."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from remedy.facts.model import (
    ConntrackFacts,
    Container,
    DaemonJson,
    EngineFacts,
    FirewallBackend,
    FirewallFacts,
    HaproxyFacts,
    HaproxyServer,
    HostFacts,
    HostIdentity,
    PortBinding,
    Protocol,
    SystemdFacts,
)


def binding(host_port: int, container_port: int, address: str = "0.0.0.0", protocol: str = "tcp") -> PortBinding:
    return PortBinding(
        protocol=Protocol(protocol),
        container_port=container_port,
        host_address=ip_address(address),
        host_port=host_port,
    )


def container(name: str, *ports: PortBinding, service: str | None = None, project: str = "dev1") -> Container:
    labels = {"com.docker.compose.project": project, "com.docker.compose.service": service} if service else {}
    return Container(
        id=f"id-of-{name}",
        name=name,
        image="image",
        state="running",
        pid=7,
        started_at="",
        restart_policy="no",
        network_mode="bridge",
        labels=labels,
        endpoints=(),
        ports=ports,
    )


def haproxy(container_name: str | None, *servers: tuple[str, int], unit: str | None = None) -> HaproxyFacts:
    return HaproxyFacts(
        container_id=None if container_name is None else f"id-of-{container_name}",
        unit=unit,
        config_files=("/haproxy.cfg",),
        servers=tuple(
            HaproxyServer(proxy="api", name=f"s{line}", host=host, port=port, file="/haproxy.cfg", line=line)
            for line, (host, port) in enumerate(servers, start=1)
        ),
    )


def host(*containers: Container, haproxies: tuple[HaproxyFacts, ...] = (), **engine: Any) -> HostFacts:
    described = {
        "version": "28.5.2",
        "version_tuple": (28, 5),
        "pid": 1,
        "command_line": (),
        "environment": {},
        "started_at": None,
        "live_restore": False,
        "userland_proxy": True,
        "userland_proxy_evidence": "a docker-proxy runs",
        "swarm": False,
        "rootless": False,
        "iptables": True,
        "ip6tables": True,
        "experimental": False,
        "socket": "unix:///var/run/docker.sock",
        "security_options": (),
    }
    return HostFacts(
        remedy_version="0",
        gathered_at=datetime(2026, 11, 4, tzinfo=UTC),
        gather_seconds=0.1,
        host=HostIdentity(hostname="web1", machine_id="m", boot_id="b", kernel="6.18"),
        engine=EngineFacts.model_validate(described | engine),
        daemon_json=DaemonJson(path="/etc/docker/daemon.json", exists=False),
        systemd=SystemdFacts(available=True, unit="docker.service"),
        containers=containers,
        networks=(),
        docker_proxies=(),
        namespaces=(),
        bridge_ports=(),
        firewall=FirewallFacts(
            backend=FirewallBackend.IPTABLES_NFT,
            backend_evidence="",
            iptables_version=None,
            nft_version=None,
            tables=(),
            nft_tables=(),
        ),
        sysctls={},
        conntrack=ConntrackFacts(count=None, maximum=None, buckets=None, entries=(), entries_complete=True),
        haproxies=haproxies,
    )
