"""The actions of `notrack`: which pairs conntrack is not to see, proved by the packet walk with and without it.

A function of spec and facts: planned again when a container has another address, it names the new one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from remedy.errors import RefusedError
from remedy.facts.model import Container, HostFacts, Protocol
from remedy.firewall.forward_guard import can_guard
from remedy.firewall.ruleset import Ruleset, UntrackedPair
from remedy.firewall.untracked_pairs import NOTRACK
from remedy.firewall.writer import select_writer
from remedy.paths.consumers import Consumer
from remedy.paths.hypothesis import with_ruleset, without_ruleset
from remedy.paths.published import PublishedPort
from remedy.paths.telling import translations
from remedy.paths.verdict import Verdict
from remedy.paths.walk import Datapath
from remedy.plan.foresight import facts_after
from remedy.plan.hairpin import has_rules
from remedy.plan.model import Action, ForgetFlows, PlanWarning, Refusal, RemoveRules, WriteRules
from remedy.plan.notrack import obstacles, told
from remedy.plan.notrack.pairs import candidates, of_later
from remedy.plan.notrack.ways import Ways
from remedy.plan.rewiring.moved import rewiring_of
from remedy.plan.selection import BackendContainer, Selected
from remedy.spec.models import HostPort, NotrackOptions, Spec

SHOWN = 8


@dataclass(frozen=True, slots=True)
class Untracking:
    """What the remedy comes to.

    before: comes ahead of all other actions, so that nothing is led elsewhere while a pair is untracked that must not
    be then; after: comes behind them, when the pairs are neighbours.
    """

    before: tuple[Action, ...] = ()
    after: tuple[Action, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[PlanWarning, ...] = ()


def plan_notrack(
    spec: Spec,
    facts: HostFacts,
    selected: Selected,
    ports: tuple[PublishedPort, ...],
    consumers: Sequence[Consumer],
    actions: Sequence[Action],
) -> Untracking:
    """What keeps the pairs from conntrack once `actions` are done. What is unsafe stands in `refusals`."""
    options = spec.remedies.notrack_options
    if spec.remedies.notrack is None:
        return Untracking()
    if options is None:
        return Untracking(before=_removal(facts, "the spec says notrack: false"))
    balancer = selected.load_balancer
    if balancer is None:
        return Untracking(refusals=(obstacles.no_load_balancer(selected.load_balancer_unit),))
    if not balancer.is_running:
        return Untracking(
            before=_removal(facts, f"{balancer.name} does not run"), warnings=(told.not_running(balancer.name),)
        )
    try:
        later = without_ruleset(facts_after(facts, actions), NOTRACK)
    except RefusedError:
        return Untracking()  # a bridge that no rule can name: the remedy that has to name it is refused
    survey = _Survey(later, balancer, ports, options)
    for backend in of_later(selected.backends, later):
        if backend.container.id != balancer.id:
            survey.look_at(backend)
    if survey.refusals:
        return Untracking(refusals=tuple(dict.fromkeys(survey.refusals)))
    staying = [consumer for consumer in consumers if rewiring_of(consumer, actions) is None]
    return _write(spec, facts, survey, staying)


@dataclass(slots=True)
class _Survey:
    """What the walk says of each backend's pairs on a host without any rule of this remedy."""

    facts: HostFacts
    balancer: Container
    ports: tuple[PublishedPort, ...]
    options: NotrackOptions
    path: Datapath = field(init=False)
    ways: Ways = field(init=False)
    pairs: list[UntrackedPair] = field(default_factory=list)
    bridged_past: list[UntrackedPair] = field(default_factory=list)  # which the host's rules do not see
    refusals: list[Refusal] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.path = Datapath(self.facts)
        # As it is after the actions: on the networks that it will have joined.
        self.balancer = next(c for c in self.facts.containers if c.id == self.balancer.id)
        self.ways = Ways(self.path, self.balancer, self.ports)

    def look_at(self, backend: BackendContainer) -> None:
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

    def _judge(self, found: Sequence[UntrackedPair], *, is_known: bool) -> None:
        """is_known: the pairs are in use, so each must be right; else what is not right is left out."""
        objections = [(pair, _objection(pair, walk(self.path, pair))) for pair in found]
        good = [pair for pair, objection in objections if objection is None]
        if is_known or not good:
            self.refusals += (objection for _, objection in objections if objection is not None)
        for pair in good:
            is_seen = self.path.topology.bridge_calls_netfilter(pair.family)
            (self.pairs if is_seen else self.bridged_past).append(pair)


def walk(path: Datapath, pair: UntrackedPair) -> Verdict:
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


# --- actions -----------------------------------------------------------------------------------------------------


def _write(spec: Spec, facts: HostFacts, survey: _Survey, consumers: Sequence[Consumer]) -> Untracking:
    by_family = [[p for p in survey.bridged_past if p.family == family] for family in (4, 6)]
    warnings = [told.not_needed(pairs) for pairs in by_family if pairs]
    if not survey.pairs:
        reason = "what stays on a bridge is not tracked" if warnings else "no backend of the spec runs"
        return Untracking(before=_removal(facts, reason), warnings=tuple(warnings))
    ruleset, dropped = _with_accepts_where_needed(survey)
    if ruleset is None:
        return Untracking(refusals=tuple(dropped), warnings=tuple(warnings))
    found = select_writer(facts.firewall.backend).differences(ruleset, facts.firewall)
    warnings += told.choice(survey.facts, survey.path, consumers)
    warnings += dict.fromkeys(_own_published_ports(survey, ruleset))
    return Untracking(
        after=_actions(facts, ruleset, found) if found else (),
        refusals=tuple(obstacles.pinned(spec)) if found else (),
        warnings=tuple(warnings),
    )


def _with_accepts_where_needed(survey: _Survey) -> tuple[Ruleset | None, list[Refusal]]:
    """The rules with which every pair that is reached now still is; None with refusals where there are none."""
    plain = Ruleset(name=NOTRACK, untracked=tuple(survey.pairs))
    reached = [pair for pair in survey.pairs if walk(survey.path, pair).reachable]
    refusals: list[Refusal] = []
    for ruleset in (plain, plain.model_copy(update={"forward_guard": True})):
        if ruleset.forward_guard and not can_guard(survey.facts.firewall.backend):
            break
        path = Datapath(with_ruleset(survey.facts, ruleset))
        verdicts = [(pair, walk(path, pair)) for pair in reached]
        refusals = [obstacles.dropped_untracked(pair, verdict) for pair, verdict in verdicts if not verdict.reachable]
        if not refusals:
            return ruleset, []
    return None, refusals


def _own_published_ports(survey: _Survey, ruleset: Ruleset) -> Iterator[PlanWarning]:
    later = Datapath(with_ruleset(survey.facts, ruleset))
    source = f"container:{survey.balancer.name}"
    for pair in ruleset.untracked:
        for port in survey.ports:
            if (port.container.name, port.to_port, port.protocol) != (pair.server, pair.server_port, pair.protocol):
                continue
            for gateway in port.network.gateways:
                to = HostPort(address=port.host_address or gateway, port=port.port, protocol=port.protocol)
                works = gateway.version == pair.family and survey.path.connect(source, to).reachable
                if works and later.connect(source, to).reachable is False:
                    yield told.own_published_port(pair, str(to))


def _actions(facts: HostFacts, ruleset: Ruleset, found: Sequence[str]) -> tuple[Action, ...]:
    present = has_rules(facts, NOTRACK)
    pairs = ruleset.untracked
    shown = ", ".join(f"{pair.client} <-> {obstacles.words(pair)}" for pair in pairs[:SHOWN])
    plural = "s" * (len(pairs) > 1)
    return (
        WriteRules(
            id="notrack_rules",
            summary=f"keep {len(pairs)} pair{plural} of load balancer and backend from conntrack",
            reason="no NAT touches these flows, so an entry for each connection, kept for two minutes after its end, "
            "serves nobody"
            + ("; their packets are accepted by address and port, too" if ruleset.forward_guard else "")
            + (f"; today: {found[0]}" if present else ""),
            before="rules of remedy that differ" if present else "every connection of theirs has an entry",
            after=shown + (" ..." if len(pairs) > SHOWN else ""),
            inverse="the rules as they were, in one transaction",
            ruleset=ruleset,
            firewall_backend=facts.firewall.backend,
        ),
        ForgetFlows(
            id="forget_flows",
            summary=f"delete the conntrack entries of {'these pairs' if plural else 'this pair'}",
            reason="an entry of an open connection would stay for days, although nothing updates it any more",
            before="entries from before",
            after="none; nobody else's entry is touched",
            inverse="nothing: a connection that is tracked again gets a new entry with its next packet",
            pairs=pairs,
        ),
    )


def _removal(facts: HostFacts, reason: str) -> tuple[Action, ...]:
    if not has_rules(facts, NOTRACK):
        return ()
    return (
        RemoveRules(
            id="notrack_rules",
            summary="remove the notrack rules",
            reason=reason,
            before="pairs that conntrack does not see",
            after="no notrack rules of remedy",
            inverse="write them again",
            ruleset=Ruleset(name=NOTRACK),
            firewall_backend=facts.firewall.backend,
        ),
    )
