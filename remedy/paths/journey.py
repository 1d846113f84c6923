"""One packet's journey over the host, hook by hook: a connection's first packet, or the first answer to it.

The order of the stations is the kernel's (6.x): net/ipv4/ip_input.c, ip_output.c, route.c,
net/bridge/br_netfilter_hooks.c and their IPv6 twins. Rules are asked as they stand on the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import NoReturn

from remedy.facts.model import Address
from remedy.netfilter.evaluate import Firewall, Hit, Translation
from remedy.netfilter.packet import CtState, Flow, Packet
from remedy.netfilter.rules import Hook
from remedy.paths.arrival import Arrival, Lost, NotModelled
from remedy.paths.connection import Connection
from remedy.paths.drops import (
    check_forwarding,
    check_hop,
    check_loopback_arrival,
    check_loopback_source,
    check_martians,
    check_port,
    check_way_back_of,
)
from remedy.paths.routing import RouteTo
from remedy.paths.sender_errors import failure_of_no_route, failure_of_rejection
from remedy.paths.telling import endpoint, hit_step, place_of, route_words
from remedy.paths.topology import BRIDGE_NETFILTER, LOOPBACK, Attachment, OnWire, Space, Topology
from remedy.paths.verdict import Step

FACTS_DO_NOT_SAY = "the facts do not say what that machine does"
PASSES_BY = "macvlan and ipvlan pass by the host"
NOBODY = "no running container has this address"


@dataclass(slots=True)
class Journey:
    """The way of one packet; steps grow as it travels."""

    topology: Topology
    firewall: Firewall
    connection: Connection
    is_reply: bool = False
    is_later: bool = False  # a client's packet after the server's first answer
    protocol: str | None = None  # of the packet, where it is not the connection's: an ICMP answer
    assumed: Mapping[str, bool] = field(default_factory=dict)  # of rules that cannot be told, whether they match
    steps: list[Step] = field(default_factory=list)

    # --- starting points ---------------------------------------------------------------------------------------

    def from_space(self, space: Space, flow: Flow) -> Arrival:
        """Sent by a process in a namespace."""
        if space.is_host:
            return self._from_host(flow)
        return self._from_container(space, flow)

    def from_outside(self, flow: Flow, interface: str) -> Arrival:
        """Received on an interface of the host that leads to other machines."""
        self._tell(
            "outside" if self.is_reply else "external",
            _sends(flow),
            f"another machine; reaches the host by {interface}",
        )
        wired = self.topology.wired(flow.destination, interface)
        if wired is not None:
            self._tell(self.topology.name_of(wired.space), f"is on the wire of {interface} itself", PASSES_BY)
            return Arrival(wired.space, self._packet(flow), wired.interface)
        return self._received(self._packet(flow)._replace(in_interface=interface))

    def _packet(self, flow: Flow) -> Packet:
        flags = {"SYN", "ACK"} if self.is_reply else {"ACK"} if self.is_later else {"SYN"}
        if self.protocol is not None:
            state = CtState.RELATED
        elif self.is_later:
            state = self.connection.state_of_later()
        else:
            state = self.connection.state_of_reply(flow) if self.is_reply else CtState.NEW
        return Packet(
            family=self.connection.family,
            protocol=self.protocol or self.connection.protocol,
            flow=flow,
            original=self.connection.original,
            state=state,
            is_reply=self.is_reply,
            ct_mark=self.connection.mark,
            is_dnated=self.connection.is_dnated,
            is_snated=self.connection.is_snated,
            tcp_flags=frozenset(flags),
        )

    # --- a container's side ------------------------------------------------------------------------------------

    def _from_container(self, space: Space, flow: Flow) -> Arrival:
        name = self.topology.name_of(space)
        route = space.routing.lookup(flow.destination)
        if route.is_local:
            self._tell(name, _sends(flow), f"{flow.destination} is its own address: the packet stays inside")
            return Arrival(space, self._packet(flow), LOOPBACK)
        if route.kind != "unicast" or route.interface is None or route.next_hop is None:
            raise Lost("unreachable", name, f"no route to {flow.destination}", route_words(route, flow.destination))
        attachment = self.topology.attachment(space, route.interface)
        wire = self.topology.on_wire(space, route.interface) if attachment is None else None
        if wire is not None:
            return self._onto_wire(wire, route.next_hop, self._packet(flow))
        if attachment is None:
            kind = space.links[route.interface].kind if route.interface in space.links else None
            raise NotModelled(f"{name} sends by {route.interface} ({kind or 'unknown kind'}), no port of a bridge here")
        self._tell(
            name, _sends(flow), f"{route_words(route, flow.destination)}, which is plugged into {attachment.bridge}"
        )
        return self._into_bridge(attachment, route.next_hop, self._packet(flow))

    def _onto_wire(self, sender: OnWire, next_hop: Address, packet: Packet) -> Arrival:
        """Sent by an interface that shares one of the host's."""
        name, destination = self.topology.name_of(sender.space), packet.flow.destination
        self._tell(name, f"sends to {destination} onto the wire of {sender.parent}", PASSES_BY)
        receiver = self.topology.wired(next_hop, sender.parent)
        if receiver is not None and next_hop == destination:
            return Arrival(receiver.space, packet, receiver.interface)
        host = self.topology.host.routing
        if host.owns(next_hop):
            what = f"{next_hop} is the host, which does not hear those who share {sender.parent}"
            raise Lost("no-answer", name, what, PASSES_BY)
        route = host.lookup(destination)
        if receiver is not None or host.owns(destination) or route.interface in self.topology.bridges:
            raise NotModelled(f"{name} reaches {destination} by {next_hop}: {FACTS_DO_NOT_SAY}")
        return Arrival(None, packet, sender.parent)

    def _into_bridge(self, sender: Attachment, next_hop: Address, packet: Packet) -> Arrival:
        bridge = sender.bridge
        check_port(self.topology, sender)
        if self.topology.host.routing.owns(next_hop):
            return self._bridged_to_host(sender, next_hop, packet)
        receiver = self.topology.neighbour(bridge, next_hop)
        if receiver is None:
            raise Lost("no-answer", bridge, f"nobody on {bridge} has {next_hop}", NOBODY)
        if not self.topology.bridge_calls_netfilter(packet.family):
            return self._switched(sender, receiver, packet)
        why = f"{BRIDGE_NETFILTER[packet.family]} = 1: the host's rules see the frame"
        self._tell(bridge, f"switches it to {self.topology.name_of(receiver.space)}", why)
        packet = self._hook(Hook.PREROUTING, packet._replace(in_interface=bridge, in_port=sender.port.interface))
        if packet.flow.destination != next_hop:
            return self._redirected_on_bridge(sender, packet)
        return self._forwarded_on_bridge(sender, receiver, packet)

    def _bridged_to_host(self, sender: Attachment, next_hop: Address, packet: Packet) -> Arrival:
        bridge, destination = sender.bridge, packet.flow.destination
        packet = packet._replace(in_interface=bridge)
        self._tell(bridge, "hands it to the host", f"the frame is addressed to the bridge itself, {next_hop}")
        if not self.topology.bridge_calls_netfilter(packet.family):
            return self._received(packet)
        packet = self._hook(Hook.PREROUTING, packet._replace(in_port=sender.port.interface))
        if packet.flow.destination != destination:
            return self._redirected_on_bridge(sender, packet)
        return self._routed(packet._replace(in_port=None))

    def _redirected_on_bridge(self, sender: Attachment, packet: Packet) -> Arrival:
        """After a DNAT in bridge netfilter: to another port of the bridge as a frame, else up to the IP layer."""
        check_martians(self.topology, packet)  # ip_route_input() is asked here (br_netfilter_hooks.c)
        route = self._route(packet)
        if route.kind != "unicast" or route.interface != sender.bridge:
            return self._routed(packet._replace(in_port=None))
        if packet.family == 4:
            # Without forwarding ip_route_input() gives a route that drops, whose device is no bridge. The comment
            # in br_netfilter_hooks.c that bridged-and-DNATed traffic needs no forwarding is not true (seen on 6.18).
            check_forwarding(self.topology, packet)
        receiver = self.topology.neighbour(sender.bridge, packet.flow.destination)
        if receiver is None:
            raise Lost("no-answer", sender.bridge, f"nobody there has {packet.flow.destination}", NOBODY)
        why = f"{BRIDGE_NETFILTER[packet.family]} = 1: it stays on the bridge, and the host's rules see it"
        self._tell(sender.bridge, f"switches it to {self.topology.name_of(receiver.space)}", why)
        return self._forwarded_on_bridge(sender, receiver, packet)

    def _forwarded_on_bridge(self, sender: Attachment, receiver: Attachment, packet: Packet) -> Arrival:
        check_hop(self.topology, sender, receiver)
        out_port = receiver.port.interface
        packet = self._hook(Hook.FORWARD, packet._replace(out_interface=sender.bridge, out_port=out_port))
        packet = self._hook(Hook.POSTROUTING, packet._replace(in_interface=None))
        return self._delivered(receiver, packet)

    def _switched(self, sender: Attachment, receiver: Attachment, packet: Packet) -> Arrival:
        check_hop(self.topology, sender, receiver)
        why = f"{BRIDGE_NETFILTER[packet.family]} = 0: the host's rules do not see it"
        self._tell(sender.bridge, f"switches it to {self.topology.name_of(receiver.space)}", why)
        return self._delivered(receiver, packet)

    def _delivered(self, receiver: Attachment, packet: Packet) -> Arrival:
        name = self.topology.name_of(receiver.space)
        if not receiver.space.routing.owns(packet.flow.destination):
            what = f"{packet.flow.destination} is none of its addresses"
            raise Lost("no-answer", name, what, f"the frame reaches it by {receiver.interface}")
        if packet.family == 4:
            check_way_back_of(self.topology, receiver, packet)
        return Arrival(receiver.space, packet, receiver.interface)

    # --- the host's side ---------------------------------------------------------------------------------------

    def _from_host(self, flow: Flow) -> Arrival:
        route = self.topology.host.routing.lookup(flow.destination, source=flow.source)
        if not route.leads_somewhere:
            raise Lost("unreachable", "host", f"no route to {flow.destination}", route_words(route, flow.destination))
        packet = self._packet(flow)._replace(out_interface=route.interface)
        self._tell("host", _sends(flow), route_words(route, flow.destination))
        sent = packet
        packet = self._hook(Hook.OUTPUT, packet)
        if packet.flow.destination != sent.flow.destination or packet.mark != sent.mark:
            route = self._route(packet)
            if not route.leads_somewhere:
                self._no_route(packet, route)
            self._tell("host", f"routes it anew, by {route.interface}", route_words(route, packet.flow.destination))
        check_loopback_source(self.topology, packet, route)
        return self._leave(packet, route)

    def _received(self, packet: Packet) -> Arrival:
        check_loopback_arrival(packet)
        return self._routed(self._hook(Hook.PREROUTING, packet))

    def _routed(self, packet: Packet) -> Arrival:
        check_martians(self.topology, packet)
        route = self._route(packet)
        if route.is_local:
            packet = self._hook(Hook.INPUT, packet)
            return Arrival(self.topology.host, packet, packet.in_interface or LOOPBACK)
        check_forwarding(self.topology, packet)
        if route.kind != "unicast":
            self._no_route(packet, route)
        self._tell("host", f"forwards it to {route.interface}", route_words(route, packet.flow.destination))
        packet = self._hook(Hook.FORWARD, packet._replace(out_interface=route.interface))
        return self._leave(packet, route)

    def _no_route(self, packet: Packet, route: RouteTo) -> NoReturn:
        to = packet.flow.destination
        failure = "no-answer" if self.is_reply else failure_of_no_route(route.kind, self.connection.protocol)
        raise Lost(failure, "host", f"no route to {to}", route_words(route, to))

    def _route(self, packet: Packet) -> RouteTo:
        return self.topology.host.routing.lookup(
            packet.flow.destination,
            source=packet.flow.source,
            mark=packet.mark,
            in_interface=packet.in_interface,
        )

    def _leave(self, packet: Packet, route: RouteTo) -> Arrival:
        packet = packet._replace(out_interface=route.interface, out_port=None)
        packet = self._hook(Hook.POSTROUTING, packet)
        if route.is_local:
            return self._looped(packet)
        return self._out(packet, route)

    def _looped(self, packet: Packet) -> Arrival:
        packet = packet._replace(in_interface=LOOPBACK, out_interface=None)
        packet = self._hook(Hook.PREROUTING, packet)
        packet = self._hook(Hook.INPUT, packet)
        return Arrival(self.topology.host, packet, LOOPBACK)

    def _out(self, packet: Packet, route: RouteTo) -> Arrival:
        interface, next_hop = route.interface or "", route.next_hop or packet.flow.destination
        if interface not in self.topology.bridges:
            return self._out_of_the_host(packet, interface)
        receiver = self.topology.neighbour(interface, next_hop)
        if receiver is None:
            raise Lost("no-answer", interface, f"nobody on {interface} has {next_hop}", NOBODY)
        check_port(self.topology, receiver)
        self._tell(
            interface,
            f"delivers it to {self.topology.name_of(receiver.space)}",
            f"by its port {receiver.port.interface}",
        )
        return self._delivered(receiver, packet)

    def _out_of_the_host(self, packet: Packet, interface: str) -> Arrival:
        network = self.topology.network_without_way(packet.flow.destination)
        if self.topology.wired(packet.flow.destination, interface) is not None:
            what = f"{packet.flow.destination} shares {interface}, and does not hear the host"
            raise Lost("no-answer", "host", what, PASSES_BY)
        if network is not None:
            what = f"{packet.flow.destination} is on the network {network}, to which the host has no way"
            raise Lost("no-answer", "host", what, f"it leaves by {interface}, and nobody there has it")
        self._tell("host", f"sends it out by {interface}", "to another machine")
        return Arrival(None, packet, interface)

    # --- rules -------------------------------------------------------------------------------------------------

    def _hook(self, hook: Hook, packet: Packet) -> Packet:
        """What a hook makes of the packet. Raises Lost when a rule ends it, Undecided when that cannot be told."""
        self._track()
        is_first = not self.is_reply and not self.is_later
        translates = is_first and self.connection.may_translate(hook)
        outcome = self.firewall.run(
            hook,
            packet,
            lambda passed, found: self._settled(hook, passed, found),
            translates=translates,
            assumed=self.assumed,
        )
        self.connection.is_untracked |= outcome.notrack
        if outcome.refusal is not None:
            self._refuse(hook, outcome.refusal, outcome.hits)
        for hit in outcome.hits:
            self.steps.append(hit_step(hook, hit, packet, outcome.packet))
        if is_first:
            self.connection.has_passed(hook, outcome.packet)
        self.connection.is_answered |= self.is_reply
        return outcome.packet

    def _track(self) -> None:
        if not self.is_reply and not self.is_later and not self.connection.is_untracked:
            self.connection.is_tracked = self.firewall.tracks(self.connection.family)

    def _settled(self, hook: Hook, packet: Packet, found: Translation | None) -> Packet:
        if self.is_reply:
            return self.connection.translated_back(hook, packet)
        if self.is_later:
            return self.connection.translated_on(hook, packet)
        if found is None or packet.state is CtState.UNTRACKED:
            return packet
        address = found.address
        if found.kind == "redirect":
            address = self._redirect_address(hook, packet)
        elif found.kind == "masquerade":
            address = self._masquerade_address(packet)
        return self.connection.translate(packet, found, address)

    def _masquerade_address(self, packet: Packet) -> Address:
        # IPv4 asks by the next hop, IPv6 by the destination (net/netfilter/nf_nat_masquerade.c).
        to = packet.flow.destination
        if packet.family == 4:
            to = self._route(packet).next_hop or to
        own = self.topology.host.routing.source_for(packet.out_interface or "", to)
        if own is None:
            raise Lost("no-answer", "host", f"masquerade finds no address on {packet.out_interface}")
        return own

    def _redirect_address(self, hook: Hook, packet: Packet) -> Address:
        if hook is Hook.OUTPUT:
            return IPv4Address("127.0.0.1") if packet.family == 4 else IPv6Address("::1")
        own = self.topology.host.routing.source_for(packet.in_interface or "", packet.flow.source)
        if own is None:
            raise Lost("no-answer", "host", f"redirect finds no address on {packet.in_interface}")
        return own

    def _refuse(self, hook: Hook, answer: str, hits: tuple[Hit, ...]) -> None:
        rule = hits[-1].rule
        failure = "no-answer" if self.is_reply else failure_of_rejection(answer, self.connection.protocol)
        what = f"rejects it, with {answer}" if answer else "drops it"
        raise Lost(failure, place_of(rule.place, hook), what, rule.text)

    # --- telling -----------------------------------------------------------------------------------------------

    def _tell(self, where: str, what: str, why: str = "") -> None:
        self.steps.append(Step(where=where, what=what, why=why))


def _sends(flow: Flow) -> str:
    return f"{flow.source} sends to {endpoint(flow.destination, flow.destination_port)}"
