"""One connection, asked once: the first packet to its server, the first answer back, and what that comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from remedy.facts.model import Address, DockerProxy, ListeningSocket, Protocol
from remedy.netfilter.evaluate import Firewall, Undecided
from remedy.netfilter.packet import Flow
from remedy.netfilter.passed_over import passed_over
from remedy.netfilter.rules import Hook
from remedy.paths.arrival import Arrival, Lost, NotModelled
from remedy.paths.clients import HOST, Client, Clients
from remedy.paths.connection import Connection
from remedy.paths.engine_versions import proxy_answers_from_asked_address
from remedy.paths.journey import Journey
from remedy.paths.routing import UnknownRoute
from remedy.paths.telling import TAKES, endpoint, listens, passed_over_step, route_words, server_step
from remedy.paths.topology import LOOPBACK, Topology
from remedy.paths.verdict import Failure, Step, Verdict, Via
from remedy.spec.models import HostPort

CLIENT_PORT = 45000  # from the middle of the kernel's range for clients, net.ipv4.ip_local_port_range
OUTSIDE = "outside"
MOST_ASSUMED = 3


@dataclass(frozen=True, slots=True)
class Ground:
    """What every question is asked of."""

    topology: Topology
    firewall: Firewall
    clients: Clients


class Question:
    """One connection, asked once."""

    def __init__(
        self,
        ground: Ground,
        client: Client,
        to: HostPort,
        address: Address | None,
        assumed: Mapping[str, bool] = MappingProxyType({}),
    ) -> None:
        self._ground, self._client, self._to = ground, client, to
        self._assumed = assumed
        self._topology = ground.topology
        self._address = address
        self._sent: Address | None = None
        self._steps: list[Step] = []
        self._back: list[Step] = []
        self._entries = 0
        self._copies = 0

    def answer(self) -> Verdict:
        """Walk there and back. Never raises."""
        try:
            return self._walk()
        except Lost as lost:
            self._steps.append(lost.step)
            return self._verdict(reachable=False, via="none", failure=lost.failure)
        except Undecided as undecided:
            settled = self._both_ways(undecided)
            if settled is not None:
                return settled
            self._steps.append(Step(where=undecided.rule.place, what=undecided.why, why=undecided.rule.text))
            return self._verdict(reachable=None, via="unknown", unknown_because=_because(undecided))
        except (NotModelled, UnknownRoute) as unknown:
            return self.not_known(unknown)

    def not_known(self, unknown: Exception) -> Verdict:
        """The verdict where the model ends."""
        self._steps.append(Step(where="remedy", what="does not know how it goes on", why=str(unknown)))
        return self._verdict(reachable=None, via="unknown", unknown_because=str(unknown))

    def _walk(self) -> Verdict:
        flow = self._flow()
        self._sent = flow.source
        connection = Connection(self._to.protocol.value, 4 if self._to.address.version == 4 else 6, flow, flow)
        request = self._journey(connection, self._steps)
        arrival = self._send(request, self._client, flow)
        answers = self._answers(connection, arrival)
        self._walk_on(connection, arrival, flow)
        self._entries += connection.makes_an_entry
        if isinstance(answers, ListeningSocket):
            proxy = self._topology.proxy_of(answers)
            if proxy is not None:
                return self._through_proxy(proxy, answers, flow)
            by = self._topology.owner_name(arrival.space or self._topology.host, answers)
        else:
            by = OUTSIDE
        return self._verdict(
            reachable=True,
            via=_via(connection, arrival, self._client),
            by=by,
            source_seen=arrival.packet.flow.source,
        )

    def _both_ways(self, undecided: Undecided) -> Verdict | None:
        """The verdict, where it is the same whether the rule matches or not; else None."""
        if not undecided.may_match or len(self._assumed) >= MOST_ASSUMED:
            return None
        place = undecided.rule.place
        matched, passed = (
            Question(self._ground, self._client, self._to, self._address, {**self._assumed, place: answer}).answer()
            for answer in (True, False)
        )
        return passed if passed.reachable is not None and _end(matched) == _end(passed) else None

    def _flow(self) -> Flow:
        to = self._to
        return Flow(self._source(), CLIENT_PORT, to.address, to.port)

    def _source(self) -> Address:
        to, space = self._to.address, self._client.space
        if space is None:
            return self._address or self._ground.clients.gateway(to.version) or to  # _outsider has checked
        if not space.routing.has_family(to.version):
            what = f"has no IPv{to.version} address to connect from"
            raise Lost("unreachable", self._client.name, what, "no interface of its network namespace has one")
        route = space.routing.lookup(to)
        if route.source is None:
            raise Lost("unreachable", self._client.name, f"no route to {to}", route_words(route, to))
        return route.source

    def _journey(self, connection: Connection, steps: list[Step], *, is_reply: bool = False) -> Journey:
        return Journey(
            self._topology,
            self._ground.firewall,
            connection,
            is_reply=is_reply,
            assumed=self._assumed,
            steps=steps,
        )

    def _send(self, journey: Journey, client: Client, flow: Flow) -> Arrival:
        if client.space is None:
            return journey.from_outside(flow, client.interface)
        return journey.from_space(client.space, flow)

    # --- at the server -----------------------------------------------------------------------------------------

    def _answers(self, connection: Connection, arrival: Arrival) -> ListeningSocket | None:
        """The socket that takes the connection, its answer being back at the client; None: a server outside."""
        if arrival.space is None:
            what = f"{arrival.packet.flow.destination} is another machine: whether it answers is not known here"
            self._steps.append(Step(where=OUTSIDE, what=what))
            self._walk_back(connection, arrival)
            return None
        flow = arrival.packet.flow
        where = self._client.name if arrival.space is self._client.space else ("host" if arrival.space.is_host else "")
        socket = arrival.space.listener(self._to.protocol, flow.destination, flow.destination_port)
        if socket is None:
            self._walk_back(connection, arrival, refused=True)
            self._tell_untranslated(connection, arrival)
            what = f"nothing listens at {endpoint(flow.destination, flow.destination_port)}"
            why = f"no {connection.protocol.upper()} socket there is bound to that port and address"
            raise Lost("refused", where or "the container", what, why)
        name = self._topology.owner_name(arrival.space, socket)
        if arrival.space.is_host and self._topology.is_placeholder(socket):
            why = f"dockerd {listens(socket)}, with no docker-proxy behind it"
            raise Lost("no-answer", HOST, "dockerd only keeps the port from others", why)
        if arrival.space.is_host and self._topology.proxy_of(socket) is not None:
            self._tell_untranslated(connection, arrival)
        else:
            self._steps.append(server_step(name, connection.protocol, socket))
        self._walk_back(connection, arrival)
        return socket

    def _tell_untranslated(self, connection: Connection, arrival: Arrival) -> None:
        """Which rule kept a packet that came to the host itself from the DNAT of the port's other clients."""
        if connection.is_dnated or arrival.space is not self._topology.host:
            return
        packet, hook = arrival.packet, Hook.PREROUTING
        if self._client.space is self._topology.host:
            packet, hook = packet._replace(in_interface=None, out_interface=LOOPBACK), Hook.OUTPUT
        found = passed_over(self._ground.firewall, hook, packet, self._topology)
        if found is not None:
            self._steps.append(passed_over_step(hook, found))

    def _walk_back(self, connection: Connection, arrival: Arrival, *, refused: bool = False) -> None:
        """The first answer's way. Raises Lost("no-answer") when it does not come back to the client as an answer."""
        journey = self._journey(connection, self._back, is_reply=True)
        if refused and connection.protocol != "tcp":
            journey.protocol = "icmp" if connection.family == 4 else "ipv6-icmp"
        answer = arrival.packet.flow.reversed()
        try:
            if arrival.space is None:
                end = journey.from_outside(answer, arrival.interface)
            else:
                end = journey.from_space(arrival.space, answer)
        except Lost as lost:
            self._back.append(lost.step)
            raise Lost("no-answer", lost.step.where, f"the answer is lost: {lost.step.what}", lost.step.why) from lost
        if end.space is not self._client.space:
            raise Lost("no-answer", "the way back", "the answer goes somewhere else", str(answer.destination))
        if end.packet.flow != connection.original.reversed():
            what = f"the answer comes from {end.packet.flow.source}, which was not asked"
            raise Lost("no-answer", self._client.name, what, "nothing translated it back")

    def _walk_on(self, connection: Connection, arrival: Arrival, flow: Flow) -> None:
        """The client's next packet, where rules may treat it otherwise. Raises Lost("no-answer") when it is lost."""
        if connection.protocol != "tcp" or not self._ground.firewall.tells_later_apart:
            return
        steps: list[Step] = []
        journey = self._journey(connection, steps)
        journey.is_later = True
        try:
            end = self._send(journey, self._client, flow)
        except Lost as lost:
            what = f"the connection stands, and what the client then sends is lost: {lost.step.what}"
            raise Lost("no-answer", lost.step.where, what, lost.step.why) from lost
        if end.space is not arrival.space or end.packet.flow != arrival.packet.flow:
            what = f"what the client then sends goes to {end.packet.flow.destination}"
            raise Lost("no-answer", "the way there", what, "conntrack did not see an answer")

    # --- docker-proxy ------------------------------------------------------------------------------------------

    def _through_proxy(self, proxy: DockerProxy, socket: ListeningSocket, flow: Flow) -> Verdict:
        self._check_datagram_answer(socket, flow)
        to = HostPort(address=proxy.container_address, port=proxy.container_port, protocol=self._to.protocol)
        what = (
            f"{TAKES[self._to.protocol.value]} at {endpoint(socket.address, socket.port)} and copies every byte to {to}"
        )
        self._steps.append(Step(where=f"docker-proxy pid {proxy.pid}", what=what, why=" ".join(proxy.command_line)))
        behind = Question(self._ground, Client(HOST, self._ground.topology.host), to, None, self._assumed)
        verdict = behind.answer()
        self._steps += verdict.steps
        self._back = [*verdict.back, *self._back]
        self._entries += verdict.conntrack_entries
        self._copies = verdict.userspace_copies + 1
        if not verdict.reachable:
            return self._verdict(
                reachable=verdict.reachable,
                via="none" if verdict.reachable is False else "unknown",
                failure=None if verdict.reachable is None else self._failure_behind_proxy(verdict.failure),
                unknown_because=verdict.unknown_because,
            )
        return self._verdict(reachable=True, via="docker-proxy", by=verdict.by, source_seen=verdict.source_seen)

    def _failure_behind_proxy(self, failure: Failure | None) -> Failure:
        """What the client notices: it is connected, then closed when the server refuses; silence stays silence."""
        return "no-answer" if failure == "no-answer" or self._to.protocol is not Protocol.TCP else "refused"

    def _check_datagram_answer(self, socket: ListeningSocket, flow: Flow) -> None:
        if self._to.protocol is Protocol.TCP or not socket.address.is_unspecified:
            return
        if proxy_answers_from_asked_address(self._ground.topology.facts.engine.version_tuple):
            return
        route = self._topology.host.routing.lookup(flow.source)
        if route.source != flow.destination:
            what = f"docker-proxy answers from {route.source}, and {flow.destination} was asked"
            raise Lost("no-answer", "host", what, "before 28, docker-proxy's UDP socket is not bound to one address")

    def _verdict(
        self,
        *,
        reachable: bool | None,
        via: Via,
        by: str | None = None,
        source_seen: Address | None = None,
        failure: Failure | None = None,
        unknown_because: str | None = None,
    ) -> Verdict:
        # model_construct: thousands of verdicts are made of values that are right by construction.
        return Verdict.model_construct(
            from_=self._client.name,
            to=str(self._to),
            reachable=reachable,
            via=via,
            by=by,
            source_sent=self._sent,
            source_seen=source_seen,
            userspace_copies=self._copies,
            conntrack_entries=self._entries,
            failure=failure,
            unknown_because=unknown_because,
            steps=tuple(self._steps),
            back=tuple(self._back),
        )


def _via(connection: Connection, arrival: Arrival, client: Client) -> Via:
    if connection.is_dnated:
        return "dnat"
    is_same = arrival.space is not None and arrival.space is client.space
    return "local" if is_same else "direct"


def _end(verdict: Verdict) -> tuple[object, ...]:
    """What client and server notice."""
    entries = verdict.conntrack_entries if verdict.reachable else None
    return verdict.reachable, verdict.via, verdict.by, verdict.source_seen, verdict.failure, entries


def _because(undecided: Undecided) -> str:
    return f"{undecided.rule.place}: {undecided.why}: {undecided.rule.text}"
