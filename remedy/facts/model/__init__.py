"""HostFacts: everything that remedy knows of a host, read once, immutable, serialisable.

Collectors (remedy.facts.*) fill it and never write to the host; a facts file saved on one host can be
planned on another. Addresses are `ipaddress` objects, times are UTC, sizes are bytes.
"""

from __future__ import annotations

from remedy.facts.model.compose import ComposeProject, FileState
from remedy.facts.model.conntrack import (
    ConntrackEntry,
    ConntrackFacts,
    ConntrackLosses,
    ConntrackSizing,
    KeptFile,
    SettingLine,
)
from remedy.facts.model.containers import Container, DockerProxy, Endpoint, Mount, Network, PortBinding
from remedy.facts.model.engine import DaemonJson, EngineFacts, HostIdentity, SystemdFacts
from remedy.facts.model.firewall import FirewallBackend, FirewallFacts, IpSet, IptablesTables
from remedy.facts.model.haproxy import HaproxyFacts, HaproxyFile, HaproxyServer, HaproxySocket
from remedy.facts.model.host import FORMAT_VERSION, HostFacts, Unread
from remedy.facts.model.namespaces import (
    BridgePort,
    Connection,
    InterfaceAddress,
    Link,
    ListeningSocket,
    NetNamespace,
    OwnTable,
    Route,
    RoutingRule,
)
from remedy.facts.model.observed import Observed, ObservedConsumer, Watch
from remedy.facts.model.values import Address, Interface, Protocol, Subnet

__all__ = [
    "FORMAT_VERSION",
    "Address",
    "BridgePort",
    "ComposeProject",
    "Connection",
    "ConntrackEntry",
    "ConntrackFacts",
    "ConntrackLosses",
    "ConntrackSizing",
    "Container",
    "DaemonJson",
    "DockerProxy",
    "Endpoint",
    "EngineFacts",
    "FileState",
    "FirewallBackend",
    "FirewallFacts",
    "HaproxyFacts",
    "HaproxyFile",
    "HaproxyServer",
    "HaproxySocket",
    "HostFacts",
    "HostIdentity",
    "Interface",
    "InterfaceAddress",
    "IpSet",
    "IptablesTables",
    "KeptFile",
    "Link",
    "ListeningSocket",
    "Mount",
    "NetNamespace",
    "Network",
    "Observed",
    "ObservedConsumer",
    "OwnTable",
    "PortBinding",
    "Protocol",
    "Route",
    "RoutingRule",
    "SettingLine",
    "Subnet",
    "SystemdFacts",
    "Unread",
    "Watch",
]
