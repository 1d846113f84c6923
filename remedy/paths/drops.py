"""What the kernel drops without a rule that says so: martians, frames for a closed port, what it does not forward.

Each check returns when the packet passes, and raises Lost with the setting that stops it.
"""

from __future__ import annotations

from remedy.host.sysctls import conf_name
from remedy.netfilter.packet import Packet
from remedy.paths.arrival import Lost, NotModelled
from remedy.paths.routing import RouteTo
from remedy.paths.topology import LOOPBACK, Attachment, Topology

FORWARDING_STATE = 3  # of a bridge port (linux/if_bridge.h, BR_STATE_FORWARDING)


def check_port(topology: Topology, attachment: Attachment) -> None:
    """A port that does not forward, or frames that rules for bridges see, of which nothing is known."""
    if topology.bridge_table is not None:
        raise NotModelled(f"frames on {attachment.bridge} pass the nft table {topology.bridge_table}")
    if attachment.port.state not in (None, FORWARDING_STATE):
        raise Lost("no-answer", attachment.bridge, f"port {attachment.port.interface} does not forward")


def check_hop(topology: Topology, sender: Attachment, receiver: Attachment) -> None:
    """From one port of a bridge to another: hairpin mode and isolation."""
    check_port(topology, receiver)
    if sender.port.interface == receiver.port.interface and not sender.port.hairpin_mode:
        why = f"hairpin_mode of {sender.port.interface} is 0"
        raise Lost("no-answer", sender.bridge, "a frame does not leave by the port that it came in by", why)
    if sender.port.isolated and receiver.port.isolated:
        why = f"{sender.port.interface} and {receiver.port.interface} are isolated"
        raise Lost("no-answer", sender.bridge, "the bridge keeps isolated ports apart", why)


def check_way_back_of(topology: Topology, receiver: Attachment, packet: Packet) -> None:
    """A container's own rp_filter: it inherits the first namespace's when it is made, 1 or 2 on many servers."""
    settings, source = receiver.space.facts.sysctls, packet.flow.source
    names = [conf_name(name, "rp_filter") for name in ("all", receiver.interface)]
    level = max(int(settings.get(name, "0")) for name in names)
    if level == 0:
        return
    back = receiver.space.routing.lookup(source, source=packet.flow.destination)
    if back.kind != "unicast" or (level == 1 and back.interface != receiver.interface):
        why = f"rp_filter = {level} in {topology.name_of(receiver.space)}"
        raise Lost("no-answer", topology.name_of(receiver.space), f"its way back to {source} is another", why)


def check_loopback_source(topology: Topology, packet: Packet, route: RouteTo) -> None:
    """A packet from the host's loopback address that leaves by another interface."""
    source, interface = packet.flow.source, route.interface or ""
    if not source.is_loopback or interface == LOOPBACK:
        return
    if source.version == 6:
        raise Lost("no-answer", "host", "a packet from ::1 does not leave the host", "there is no route_localnet")
    if not _has_localnet(topology, interface):
        why = f"{conf_name(interface, 'route_localnet')} = 0"
        raise Lost("no-answer", "host", f"a packet from {source} does not leave by {interface}", why)


def check_martians(topology: Topology, packet: Packet) -> None:
    """Addresses that may not arrive on an interface (net/ipv4/route.c, ip_route_input_slow; ip6_input.c)."""
    interface, flow = packet.in_interface or LOOPBACK, packet.flow
    if interface == LOOPBACK:
        return
    if packet.family == 6:
        check_loopback_arrival(packet)
        return
    if (flow.destination.is_loopback or flow.source.is_loopback) and not _has_localnet(topology, interface):
        why = f"{conf_name(interface, 'route_localnet')} = 0"
        raise Lost("no-answer", "host", f"a loopback address arrives on {interface}", why)
    is_own = topology.host.routing.owns(flow.source)
    if is_own and not flow.source.is_loopback and not topology.is_set("accept_local", interface):
        why = f"{conf_name(interface, 'accept_local')} = 0"
        raise Lost("no-answer", "host", f"its own address {flow.source} arrives on {interface}", why)
    _check_reverse_path(topology, packet, interface)


def _check_reverse_path(topology: Topology, packet: Packet, interface: str) -> None:
    # The larger of conf.all and conf.INTERFACE counts (Documentation/networking/ip-sysctl.rst).
    level = max(int(topology.sysctl(conf_name(name, "rp_filter"))) for name in ("all", interface))
    if level == 0 or packet.flow.source.is_loopback:
        return
    by_mark = topology.is_set("src_valid_mark", interface)
    if topology.arrives_by_its_way_back(packet, strict=level == 1, by_mark=by_mark) is False:
        why = f"rp_filter = {level} on {interface}"
        raise Lost("no-answer", "host", f"the way back to {packet.flow.source} is another", why)


def check_loopback_arrival(packet: Packet) -> None:
    """IPv6 drops what comes from or for ::1 on a real interface before any rule sees it (ip6_input.c, ip6_rcv_core)."""
    interface, flow = packet.in_interface or LOOPBACK, packet.flow
    if packet.family == 6 and interface != LOOPBACK and (flow.destination.is_loopback or flow.source.is_loopback):
        raise Lost("no-answer", "host", f"::1 arrives on {interface}", "the kernel drops it")


def check_forwarding(topology: Topology, packet: Packet) -> None:
    """Whether the host forwards what came in by this interface."""
    if packet.family == 6:
        # IPv6 asks one setting for all interfaces (net/ipv6/ip6_output.c, ip6_forward).
        name, value = "net.ipv6.conf.all.forwarding", topology.sysctl("net.ipv6.conf.all.forwarding")
    else:
        name = conf_name(packet.in_interface or LOOPBACK, "forwarding")
        value = topology.sysctl(name, topology.sysctl("net.ipv4.ip_forward"))
    if value == "0":
        raise Lost("no-answer", "host", "the host does not forward", f"{name} = 0")


def _has_localnet(topology: Topology, interface: str) -> bool:
    return topology.is_set("route_localnet", interface)
