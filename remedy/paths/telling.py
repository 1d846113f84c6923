"""The words of a journey: one short line for each hop, with its evidence."""

from __future__ import annotations

from remedy.facts.model import Address, ListeningSocket
from remedy.netfilter.evaluate import Hit
from remedy.netfilter.packet import Packet
from remedy.netfilter.passed_over import PassedOver
from remedy.netfilter.rules import Accept, Hook, Masquerade, Notrack, Return
from remedy.paths.routing import RouteTo
from remedy.paths.verdict import Step, Verdict

TAKES = {"tcp": "takes the connection", "udp": "takes the datagram", "sctp": "takes the association"}


def endpoint(address: Address, port: int) -> str:
    """ADDRESS:PORT as people write it: [::1]:5001."""
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def route_words(route: RouteTo, destination: Address) -> str:
    """Which way the routing table sends packets for an address."""
    if not route.leads_somewhere:
        return f"its routing table says: {route.kind}"
    if route.is_local:
        return f"route: local {destination}"
    via = f"via {route.next_hop} " if route.next_hop not in (None, destination) else ""
    return f"route: {destination} {via}dev {route.interface}"


# How a step begins in which a rule translates.
_SOURCE, _DESTINATION = "the source ", "the destination becomes "


def translations(verdict: Verdict) -> tuple[Step, ...]:
    """The steps of a connection, there and back, in which a rule translated a packet."""
    return tuple(step for step in (*verdict.steps, *verdict.back) if step.what.startswith((_SOURCE, _DESTINATION)))


def hit_step(hook: Hook, hit: Hit, before: Packet, after: Packet) -> Step:
    """What a rule that matched made of a packet."""
    match hit.what:
        case Accept():
            what = "accepts it"
        case Notrack():
            what = "keeps conntrack from seeing it"
        case Masquerade():
            what = f"{_SOURCE}{before.flow.source} becomes {after.flow.source}"
        case _ if after.flow.source != before.flow.source:
            what = f"{_SOURCE}{before.flow.source} becomes {after.flow.source}"
        case _:
            what = f"{_DESTINATION}{endpoint(after.flow.destination, after.flow.destination_port)}"
    return Step(where=place_of(hit.rule.place, hook), what=what, why=hit.rule.text)


def place_of(place: str, hook: Hook) -> str:
    """A rule's place with the hook, where the chain's own name does not say it."""
    return place if hook.value in place.lower() else f"{place} ({hook.value})"


def passed_over_step(hook: Hook, found: PassedOver) -> Step:
    """Why no DNAT rule translated a packet for a published port."""
    if any(isinstance(statement, Return) for statement in found.rule.statements):
        what = f"returns it, so the DNAT to {found.target} is not reached"
    elif found.is_jump:
        what = f"is not for this packet, so the DNAT to {found.target} is not reached"
    else:
        what = f"is not for this packet: no DNAT to {found.target}"
    return Step(where=place_of(found.rule.place, hook), what=what, why=found.rule.text)


def server_step(name: str, protocol: str, socket: ListeningSocket) -> Step:
    """Who takes the connection at its end."""
    program = socket.program or "a process"
    pid = f" pid {socket.pid}" if socket.pid else ""
    return Step(where=name, what=f"{program}{pid} {TAKES[protocol]}", why=listens(socket))


def listens(socket: ListeningSocket) -> str:
    """The evidence of a socket."""
    return f"listens at {endpoint(socket.address, socket.port)}"
