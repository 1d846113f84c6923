"""All of it together."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from remedy.facts.model.compose import ComposeProject
from remedy.facts.model.conntrack import ConntrackFacts
from remedy.facts.model.containers import Container, DockerProxy, Network
from remedy.facts.model.engine import DaemonJson, EngineFacts, HostIdentity, SystemdFacts
from remedy.facts.model.firewall import FirewallFacts
from remedy.facts.model.haproxy import HaproxyFacts
from remedy.facts.model.namespaces import BridgePort, NetNamespace
from remedy.facts.model.observed import Observed
from remedy.frozen import FrozenWhenUsed as Frozen

FORMAT_VERSION = 1


class Unread(Frozen):
    """An item that could not be read, and why. A plan that needs it refuses."""

    item: str
    reason: str


class HostFacts(Frozen):
    """The observed state of one host at one moment."""

    format_version: Literal[1] = 1
    remedy_version: str
    gathered_at: datetime
    gather_seconds: float
    host: HostIdentity
    engine: EngineFacts
    daemon_json: DaemonJson
    systemd: SystemdFacts
    containers: tuple[Container, ...]
    networks: tuple[Network, ...]
    docker_proxies: tuple[DockerProxy, ...]
    namespaces: tuple[NetNamespace, ...]  # the host's first
    bridge_ports: tuple[BridgePort, ...]
    firewall: FirewallFacts
    sysctls: dict[str, str]  # "net.ipv4.conf.docker0.route_localnet": "0", named as by host.sysctls.conf_name
    conntrack: ConntrackFacts
    haproxies: tuple[HaproxyFacts, ...]
    unread: tuple[Unread, ...] = ()
    observed: Observed | None = None  # None: nobody has watched
    compose_projects: tuple[ComposeProject, ...] = ()
