"""Whether and how a client reaches a published port, with the userland proxy on or off.

The table behind this was measured on 20.10, 26.1, 28.5 and 29.7 (docs/explanation/who-reaches-what.md).
It covers the paths that a change of the userland proxy touches and says `unknown` for what it does not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from remedy.facts.model import Address
from remedy.paths.engine_versions import Version, isolates_networks, sets_bridge_nf
from remedy.paths.published import PublishedPort

Via = Literal["docker-proxy", "dnat", "direct", "local", "none", "unknown"]


class Place(StrEnum):
    """Where a client is, seen from the published port's container."""

    HOST = "host"
    EXTERNAL = "external"
    ITSELF = "itself"
    SAME_BRIDGE = "same bridge"
    OTHER_BRIDGE = "other bridge"


@dataclass(frozen=True, slots=True)
class Setting:
    """The part of the host's state that decides."""

    engine: Version
    userland_proxy: bool
    bridge_nf: bool
    redirected: bool = False  # remedy's hairpin rules serve the port for clients on its own bridge
    redirected_loopback: bool = False

    def with_proxy(self, on: bool) -> Setting:
        """The same host after the engine restarted with the userland proxy on or off."""
        bridge_nf = self.bridge_nf or (not on and sets_bridge_nf(self.engine))
        return Setting(self.engine, on, bridge_nf, self.redirected, self.redirected_loopback)


@dataclass(frozen=True, slots=True)
class Reach:
    """The answer: via, the kind of source address that the server sees, and why."""

    via: Via
    source: Literal["client", "gateway", "host", ""]
    why: str

    @property
    def works(self) -> bool:
        """Whether the connection is made."""
        return self.via not in ("none", "unknown")


def reach(place: Place, to: Address, port: PublishedPort, setting: Setting) -> Reach:
    """How a client at `place` reaches `port` at the host address `to`. Never raises."""
    if to.version != port.host_family:
        return Reach("none", "", "the port is not published for this IP version")
    if not port.is_nat:
        return _proxy_only(setting)
    if to.is_loopback and place is not Place.HOST:
        return Reach("none", "", "127.0.0.1 is the client's own loopback there")
    return _with_proxy(place, to, setting) if setting.userland_proxy else _without_proxy(place, to, setting)


def _proxy_only(setting: Setting) -> Reach:
    if setting.userland_proxy:
        return Reach("docker-proxy", "gateway", "the container has no IPv6: only docker-proxy can serve [::]")
    return Reach("none", "", "the container has no IPv6, and nothing translates without docker-proxy")


def _with_proxy(place: Place, to: Address, setting: Setting) -> Reach:
    if place is Place.EXTERNAL:
        return Reach("dnat", "client", "packets from outside are DNATed in PREROUTING")
    if place is Place.HOST:
        if not to.is_loopback:
            return Reach("dnat", "host", "the host's own connections are DNATed in OUTPUT")
        if setting.redirected_loopback and to.version == 4:
            return Reach("dnat", "gateway", "remedy's own DNAT with route_localnet")
        return Reach("docker-proxy", "gateway", "the engine's OUTPUT rule leaves loopback out")
    if place is Place.OTHER_BRIDGE:
        if isolates_networks(setting.engine):
            return Reach("docker-proxy", "gateway", "the engine RETURNs every bridge's packets before its DNAT")
        return Reach("dnat", "gateway", "DNATed: this engine only leaves the port's own bridge out")
    if setting.redirected:
        return Reach("dnat", "gateway", "remedy's own DNAT ahead of the engine's, with masquerade")
    return Reach("docker-proxy", "gateway", "the engine leaves the port's own bridge out of its DNAT")


def _without_proxy(place: Place, to: Address, setting: Setting) -> Reach:
    if place is Place.EXTERNAL:
        return Reach("dnat", "client", "packets from outside are DNATed in PREROUTING")
    if place is Place.HOST:
        if to.is_loopback and to.version == 6:
            return Reach("none", "", "the kernel has no route_localnet for ::1: nothing can translate it")
        return Reach("dnat", "gateway", "DNATed in OUTPUT, masqueraded as it leaves by the bridge")
    if place is Place.ITSELF:
        return Reach("dnat", "gateway", "hairpin: out and in by the same bridge port, masqueraded")
    if place is Place.OTHER_BRIDGE:
        if isolates_networks(setting.engine):
            return Reach("none", "", "DNATed, then dropped by DOCKER-ISOLATION-STAGE-2")
        return Reach("dnat", "gateway", "DNATed: this engine has no isolation chains")
    if setting.redirected:
        return Reach("dnat", "gateway", "remedy's own DNAT, with masquerade")
    if not setting.bridge_nf:
        return Reach("none", "", "bridge-nf-call-iptables is 0: the reply bypasses the host and is not un-NATed")
    return Reach("dnat", "client", "DNATed in PREROUTING, the reply un-NATed by bridge netfilter")
