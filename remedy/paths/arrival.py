"""How a packet's journey ends: it arrives, it is lost, or it comes to a place that nobody has modelled."""

from __future__ import annotations

from dataclasses import dataclass

from remedy.netfilter.packet import Packet
from remedy.paths.topology import Space
from remedy.paths.verdict import Failure, Step


class Lost(Exception):
    """The packet does not arrive; failure is what its sender notices."""

    def __init__(self, failure: Failure, where: str, what: str, why: str = "") -> None:
        super().__init__(what)
        self.failure = failure
        self.step = Step(where=where, what=what, why=why)


class NotModelled(Exception):
    """The packet comes to a place that this model does not know."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where a packet ended: in a namespace of this host, or (space None) outside, by an interface of the host."""

    space: Space | None
    packet: Packet
    interface: str
