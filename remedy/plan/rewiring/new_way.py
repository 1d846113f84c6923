"""Whether a server's name would come out, on the network, at the container and the port of today's way.

A rule of somebody else's may drop what crosses that bridge, its containers may be closed to each other (icc off), the
process may listen on another of its addresses only: then the server is left as it is, and the others go on. Asked of
the datapath of the host as it will be once all have joined.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from remedy.facts.model import Container
from remedy.paths.verdict import Verdict
from remedy.paths.walk import Datapath
from remedy.plan.rewiring.edits import Change
from remedy.plan.rewiring.mapping import LeftAlone
from remedy.plan.rewiring.probes import address_on
from remedy.plan.user_network.names import service_of
from remedy.spec.models import HostPort


class NewWay:
    """The way from the load balancer to its backends on one network."""

    def __init__(self, later: Datapath, balancer: Container, members: Sequence[Container], network: str) -> None:
        self._path = later
        self._source = f"container:{balancer.name}"
        self._members = members
        self._network = network
        self._addresses = {container.id: address_on(container, network) for container in later.facts.containers}

    def sort_out(self, changes: Sequence[Change]) -> tuple[list[Change], list[LeftAlone]]:
        """The servers that would come out where they do today, and the others."""
        found: list[Change] = []
        alone: list[LeftAlone] = []
        for change in changes:
            why = next(self._obstacles(change), None)
            if why is None:
                found.append(change)
            else:
                alone.append(LeftAlone(change.led.server, why))
        return found, alone

    def _obstacles(self, change: Change) -> Iterator[str]:
        target = change.led.target
        ports = dict.fromkeys(port for port in (target.port, target.check_port) if port is not None)
        for container in self._behind(change):
            address = self._addresses.get(container.id)
            for port in ports if address is not None else ():
                assert address is not None  # noqa: S101
                verdict = self._path.connect(self._source, HostPort(address=address, port=port))
                # Another way than straight to it is a rule that leads it to another port, or elsewhere.
                if not verdict.reachable or verdict.by != container.name or verdict.via != "direct":
                    yield f"on {self._network} it would not come out at {container.name}:{port}: {_why(verdict)}"

    def _behind(self, change: Change) -> tuple[Container, ...]:
        """The containers that the server's name stands for: with a template all of the compose service."""
        container = change.led.target.container
        if not change.line.is_template:
            return (container,)
        return tuple(member for member in self._members if service_of(member) == service_of(container))


def _why(verdict: Verdict) -> str:
    if verdict.unknown_because is not None:
        return verdict.unknown_because
    if verdict.reachable:
        return f"it would be answered by {verdict.by}, by way of {verdict.via}"
    if not verdict.steps:
        return "nobody answers there"
    last = verdict.steps[-1]
    return f"{last.what}, at {last.where}" + (f" ({last.why})" if last.why else "")
