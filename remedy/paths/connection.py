"""What conntrack keeps of a connection, and how it translates its packets there and back."""

from __future__ import annotations

from dataclasses import dataclass

from remedy.facts.model import Address
from remedy.netfilter.evaluate import Translation
from remedy.netfilter.packet import CtState, Family, Flow, Packet
from remedy.netfilter.rules import Hook

# The hooks at which a destination is translated; at the others it is the source.
DESTINATION_HOOKS = frozenset({Hook.PREROUTING, Hook.OUTPUT})


@dataclass(slots=True)
class Connection:
    """What conntrack holds of a connection while its first packets travel.

    original: as the client sent it; translated: as the server gets it. is_tracked: conntrack has seen it.
    """

    protocol: str
    family: Family
    original: Flow
    translated: Flow
    is_tracked: bool = False
    is_confirmed: bool = False
    is_answered: bool = False  # conntrack has seen an answer
    is_untracked: bool = False  # by a rule, NOTRACK
    dnat_done: bool = False
    snat_done: bool = False
    is_dnated: bool = False
    is_snated: bool = False
    mark: int = 0

    @property
    def is_translated(self) -> bool:
        """Whether the server gets other addresses or ports than the client sent."""
        return self.is_dnated or self.is_snated

    @property
    def makes_an_entry(self) -> bool:
        """Whether the host keeps an entry of it."""
        return self.is_tracked and self.is_confirmed and not self.is_untracked

    def may_translate(self, hook: Hook) -> bool:
        """Whether the nat chains of a hook are asked for its first packet: once for each end, and never in FORWARD."""
        if self.is_untracked or hook is Hook.FORWARD:
            return False
        return not (self.dnat_done if hook in DESTINATION_HOOKS else self.snat_done)

    def has_passed(self, hook: Hook, packet: Packet) -> None:
        """Note that the first packet is through a hook."""
        if hook is Hook.FORWARD:
            return
        takes_destination = hook in DESTINATION_HOOKS
        self.dnat_done |= takes_destination
        self.snat_done |= not takes_destination
        self.is_confirmed |= not takes_destination
        self.mark = packet.ct_mark

    def translate(self, packet: Packet, found: Translation, address: Address | None) -> Packet:
        """The first packet after a nat rule's decision; address None: that part stays."""
        flow = packet.flow
        if found.kind in ("dnat", "redirect"):
            port = flow.destination_port if found.port is None else found.port
            flow = flow._replace(destination=address or flow.destination, destination_port=port)
            self.is_dnated = True
        else:
            flow = flow._replace(source=address or flow.source)
            self.is_snated = True
        self.translated = flow
        return packet._replace(flow=flow, is_dnated=self.is_dnated, is_snated=self.is_snated)

    def translated_on(self, hook: Hook, packet: Packet) -> Packet:
        """A client's later packet after conntrack's turn at a hook: translated as the first one was."""
        flow = packet.flow
        if not self.is_translated or packet.state is not CtState.ESTABLISHED:
            return packet
        original, translated = self.original, self.translated
        if hook in DESTINATION_HOOKS:
            if (flow.destination, flow.destination_port) == (original.destination, original.destination_port):
                flow = flow._replace(destination=translated.destination, destination_port=translated.destination_port)
        elif (flow.source, flow.source_port) == (original.source, original.source_port):
            flow = flow._replace(source=translated.source, source_port=translated.source_port)
        return packet._replace(flow=flow)

    def translated_back(self, hook: Hook, packet: Packet) -> Packet:
        """An answer after conntrack's turn at a hook: what the client sent to, and from, stands in it again."""
        flow = packet.flow
        if not self.is_translated or packet.state not in (CtState.ESTABLISHED, CtState.RELATED):
            return packet
        original, translated = self.original, self.translated
        if hook in DESTINATION_HOOKS:
            if (flow.destination, flow.destination_port) == (translated.source, translated.source_port):
                flow = flow._replace(destination=original.source, destination_port=original.source_port)
        elif (flow.source, flow.source_port) == (translated.destination, translated.destination_port):
            flow = flow._replace(source=original.destination, source_port=original.destination_port)
        return packet._replace(flow=flow)

    def state_of_later(self) -> CtState:
        """What conntrack says of the client's packet after the server's first answer."""
        if self.is_untracked or not self.is_tracked:
            return CtState.NEW
        # An ACK of which conntrack saw the SYN and no answer is out of order (nf_conntrack_proto_tcp.c).
        return CtState.ESTABLISHED if self.is_answered else CtState.INVALID

    def state_of_reply(self, flow: Flow) -> CtState:
        """What conntrack says of the first answer."""
        if self.is_tracked and not self.is_untracked and flow == self.translated.reversed():
            return CtState.ESTABLISHED
        # An answer whose question conntrack never saw, unless a NOTRACK rule of its own meets it: a TCP SYN-ACK is
        # invalid, a datagram begins a flow of its own.
        return CtState.INVALID if self.protocol == "tcp" else CtState.NEW
