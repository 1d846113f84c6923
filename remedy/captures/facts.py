"""HostFacts of a capture: what a live reading of that host would have given, from its files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from remedy import __version__
from remedy.captures.files import CaptureFiles
from remedy.captures.namespaces import read_namespaces
from remedy.captures.rules import read_rules
from remedy.facts.bridges import with_containers
from remedy.facts.containers import parse_container
from remedy.facts.daemon_json import parse_daemon_json
from remedy.facts.engine import ProxyWitnesses, find_proxy_setting, parse_engine
from remedy.facts.engine_rules import parse_version
from remedy.facts.firewall import proxy_witnesses
from remedy.facts.model import (
    BridgePort,
    ConntrackFacts,
    Container,
    DaemonJson,
    DockerProxy,
    HostFacts,
    HostIdentity,
    ListeningSocket,
    NetNamespace,
    Network,
    SystemdFacts,
)
from remedy.facts.networks import parse_network, with_bridge_addresses
from remedy.facts.processes import Process
from remedy.facts.proxies import PROXY_PROGRAM, parse_proxy
from remedy.facts.unread import Notes

_SOCKET = "unix:///var/run/docker.sock"
# A capture does not say when it was made, and its facts must be the same each time.
_NO_TIME = datetime.fromtimestamp(0, UTC)


def load_capture(files: CaptureFiles) -> HostFacts:
    """Return the facts of the host that was recorded. Raises InputError when a file cannot be read."""
    notes = Notes()
    info: dict[str, Any] = files.document("docker-info.json", {})
    containers = _containers(files.document("container-inspect.json", []))
    networks = [parse_network(network) for network in files.document("networks.json", [])]
    namespaces = read_namespaces(files, containers, networks, parse_version(str(info.get("ServerVersion", ""))))
    firewall = read_rules(files, info, notes)
    proxies = tuple(_proxies(files.text("docker-proxy.txt").splitlines(), namespaces[0].listening))
    daemon_json = _daemon_json(files)
    witnesses = ProxyWitnesses(None, daemon_json, proxies, containers, proxy_witnesses(firewall))
    return HostFacts(
        remedy_version=__version__,
        gathered_at=_NO_TIME,
        gather_seconds=0.0,
        host=_identity(info),
        engine=parse_engine(info, None, daemon_json, find_proxy_setting(info, witnesses), _SOCKET),
        daemon_json=daemon_json,
        systemd=SystemdFacts(available=False),
        containers=containers,
        networks=_with_gateways(networks, namespaces[0]),
        docker_proxies=proxies,
        namespaces=namespaces,
        bridge_ports=with_containers(_bridge_ports(files.document("bridge-ports.json", {})), namespaces, containers),
        firewall=firewall,
        sysctls={name: str(value) for name, value in files.document("sysctls.json", {}).items()},
        conntrack=_conntrack(files.document("sysctls.json", {})),
        haproxies=(),
        unread=notes.sorted(),
    )


def _containers(inspected: Iterable[dict[str, Any]]) -> tuple[Container, ...]:
    return tuple(sorted(map(parse_container, inspected), key=lambda container: container.name))


def _with_gateways(networks: Iterable[Network], host: NetNamespace) -> tuple[Network, ...]:
    completed = (with_bridge_addresses(network, host.addresses) for network in networks)
    return tuple(sorted(completed, key=lambda network: network.name))


def _bridge_ports(bridges: dict[str, dict[str, dict[str, int]]]) -> Iterator[BridgePort]:
    for bridge, ports in bridges.items():
        for interface, port in ports.items():
            yield BridgePort(
                bridge=bridge,
                interface=interface,
                hairpin_mode=bool(port.get("hairpin_mode")),
                isolated=bool(port["isolated"]) if "isolated" in port else None,
                state=port.get("state"),
            )


def _proxies(command_lines: Sequence[str], sockets: Sequence[ListeningSocket]) -> Iterator[DockerProxy]:
    """Read the command lines, and find each process's id by the socket that it holds (0 where there is none)."""
    held = {
        (socket.protocol, socket.address, socket.port): socket.pid or 0
        for socket in sockets
        if socket.program == PROXY_PROGRAM
    }
    for line in command_lines:
        # `ps` puts its own columns before the program.
        arguments = tuple(shlex.split(re.sub(r"^\s*\d+\s+", "", line)))
        proxy = parse_proxy(Process(0, 0, PROXY_PROGRAM, arguments))
        if proxy is not None:
            pid = held.get((proxy.protocol, proxy.host_address, proxy.host_port), 0)
            yield proxy.model_copy(update={"pid": pid})


def _daemon_json(files: CaptureFiles) -> DaemonJson:
    path = "/etc/docker/daemon.json"
    raw = files.content.get("daemon.json")
    if raw is None:
        return DaemonJson(path=path, exists=False)
    parsed, problem = parse_daemon_json(raw)
    return DaemonJson(path=path, exists=True, raw=raw, parsed=parsed, problem=problem)


def _identity(info: dict[str, Any]) -> HostIdentity:
    return HostIdentity(
        hostname=str(info.get("Name", "")), machine_id="", boot_id="", kernel=str(info.get("KernelVersion", ""))
    )


def _conntrack(sysctls: dict[str, Any]) -> ConntrackFacts:
    prefix = "net.netfilter.nf_conntrack_"
    return ConntrackFacts(
        count=sysctls.get(f"{prefix}count"),
        maximum=sysctls.get(f"{prefix}max"),
        buckets=sysctls.get(f"{prefix}buckets"),
        entries=(),
        entries_complete=False,
    )
