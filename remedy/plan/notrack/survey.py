"""What the packet walk says of each pair of load balancer and backend, with and without the rules."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from remedy.facts.model import Container, HostFacts, Protocol
from remedy.firewall.forward_guard import can_guard, engine_filters
from remedy.firewall.ruleset import Ruleset, UntrackedPair
from remedy.firewall.untracked_pairs import NOTRACK
from remedy.paths.hypothesis import with_ruleset
from remedy.paths.published import ICC_OPTION, PublishedPort
from remedy.paths.telling import translations
from remedy.paths.verdict import Verdict
from remedy.paths.walk import Datapath
from remedy.plan.model import Refusal
from remedy.plan.notrack import obstacles
from remedy.plan.notrack.pairs import candidates, in_order, of_later
from remedy.plan.notrack.ways import Ways
from remedy.plan.selection import BackendContainer
from remedy.spec.models import HostPort, NotrackOptions

UNPROVED = ("notrack-unreachable", "notrack-unknown")


@dataclass(slots=True)
class Survey:
    """What the walk says of each backend's pairs on a host without any rule of this remedy."""

    facts: HostFacts
    balancer: Container
    ports: tuple[PublishedPort, ...]
    options: NotrackOptions
    path: Datapath = field(init=False)
    ways: Ways = field(init=False)
    pairs: list[UntrackedPair] = field(default_factory=list)
    bridged_past: list[UntrackedPair] = field(default_factory=list)  # which the host's rules do not see
    unproved: list[UntrackedPair] = field(default_factory=list)  # which are not translated, and not reached either
    refusals: list[Refusal] = field(default_factory=list)
    _walked: dict[UntrackedPair, Verdict] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.path = Datapath(self.facts)
        # As it is after the actions: on the networks that it will have joined.
        self.balancer = next(c for c in self.facts.containers if c.id == self.balancer.id)
        self.ways = Ways(self.path, self.balancer, self.ports)

    @classmethod
    def of(
        cls,
        facts: HostFacts,
        balancer: Container,
        backends: Sequence[BackendContainer],
        ports: tuple[PublishedPort, ...],
        options: NotrackOptions,
    ) -> Survey:
        """Of all these backends, as they are in these facts."""
        survey = cls(facts, balancer, ports, options)
        for backend in of_later(backends, facts):
            if backend.container.id != balancer.id:
                survey._look_at(backend)
        return survey

    def _look_at(self, backend: BackendContainer) -> None:
        """Sort its pairs, or refuse it."""
        if backend.protocol not in (Protocol.TCP, Protocol.UDP):
            self.refusals.append(obstacles.protocol_not_covered(backend))
            return
        ways = tuple(self.ways.to(backend))
        found = tuple(candidates(self.facts, self.balancer, backend, self.options.network))
        if not found:
            refusal = obstacles.no_shared_network(self.balancer.name, backend, ways, self.options.network)
            self.refusals.append(refusal)
            return
        direct = {(pair.server_address, pair.server_port) for pair in found}
        elsewhere = [way for way in ways if (way.to.address, way.to.port) not in direct and not way.is_straight]
        if elsewhere:
            self.refusals.append(obstacles.translated_way(self.balancer.name, backend, elsewhere[0]))
            return
        used = {way.to.address for way in ways}
        networks = {pair.network for pair in found if pair.server_address in used}
        # Where it is known which network is used, the others stay as they are.
        self._judge([pair for pair in found if not networks or pair.network in networks], is_known=bool(networks))

    def walked(self, pair: UntrackedPair) -> Verdict:
        """How the client reaches the server, tracked."""
        if pair not in self._walked:
            self._walked[pair] = _walk(self.path, pair)
        return self._walked[pair]

    def _judge(self, found: Sequence[UntrackedPair], *, is_known: bool) -> None:
        """is_known: the pairs are in use, so each must be right; else what is not right is left out."""
        objections = [(pair, _objection(pair, self.walked(pair))) for pair in found]
        good = [pair for pair, objection in objections if objection is None]
        if is_known or not good:
            self.refusals += (objection for _, objection in objections if objection is not None)
        self.unproved += (pair for pair, objection in objections if objection and objection.code in UNPROVED)
        for pair in good:
            is_seen = self.path.topology.bridge_calls_netfilter(pair.family)
            (self.pairs if is_seen else self.bridged_past).append(pair)


def _walk(path: Datapath, pair: UntrackedPair) -> Verdict:
    """How the client reaches the server's own address."""
    to = HostPort(address=pair.server_address, port=pair.server_port, protocol=pair.protocol)
    return path.connect(f"container:{pair.client}", to)


def _objection(pair: UntrackedPair, verdict: Verdict) -> Refusal | None:
    if translations(verdict) or (verdict.reachable and verdict.via != "direct"):
        return obstacles.translated_pair(pair, verdict)
    # Where nothing listens yet the way is open all the same: the refusal comes back by it.
    if verdict.reachable or verdict.failure == "refused":
        return None
    return obstacles.not_reached(pair, verdict)


def with_accepts_where_needed(
    survey: Survey, pairs: Collection[UntrackedPair]
) -> tuple[Ruleset, list[tuple[UntrackedPair, Verdict]]]:
    """The rules for these pairs, and those that would be dropped all the same although they are reached now."""
    ruleset = Ruleset(name=NOTRACK, untracked=in_order(pairs))
    verdicts = _walked_with(survey, ruleset, pairs)
    dropped = _dropped(survey, pairs, verdicts)
    if dropped and can_guard(survey.facts.firewall.backend):
        ruleset = ruleset.model_copy(update={"forward_guard": True})
        return ruleset, _dropped(survey, pairs, _walked_with(survey, ruleset, pairs))
    if not dropped and _is_accepted_anyway(survey.facts, pairs):
        ahead = ruleset.model_copy(update={"accept_ahead": True})
        # Not where that opens what a rule between the engine's own has closed; who is reached stays so.
        closed = [pair for pair, verdict in verdicts.items() if not verdict.reachable]
        if all(_end(verdict) == _end(verdicts[pair]) for pair, verdict in _walked_with(survey, ahead, closed).items()):
            ruleset = ahead
    return ruleset, dropped


def _walked_with(survey: Survey, ruleset: Ruleset, pairs: Collection[UntrackedPair]) -> dict[UntrackedPair, Verdict]:
    if not pairs:
        return {}
    path = Datapath(with_ruleset(survey.facts, ruleset))
    return {pair: _walk(path, pair) for pair in pairs}


def _dropped(
    survey: Survey, pairs: Collection[UntrackedPair], verdicts: Mapping[UntrackedPair, Verdict]
) -> list[tuple[UntrackedPair, Verdict]]:
    reached = (pair for pair in pairs if survey.walked(pair).reachable)
    return [(pair, verdicts[pair]) for pair in reached if not verdicts[pair].reachable]


def _end(verdict: Verdict) -> tuple[bool | None, str | None]:
    return verdict.reachable, verdict.failure


def _is_accepted_anyway(facts: HostFacts, pairs: Collection[UntrackedPair]) -> bool:
    """Whether the engine accepts everything that stays on the pairs' bridges.

    Without icc it drops what is not a link's, and where it has no rules somebody else decides: an accept for a whole
    bridge would be more than speed for others' untracked packets.
    """
    is_open = {network.bridge for network in facts.networks if network.options.get(ICC_OPTION, "true") == "true"}
    return (
        bool(pairs)
        and all(pair.bridge in is_open for pair in pairs)
        and all(engine_filters(facts.firewall, family) for family in {pair.family for pair in pairs})
    )
