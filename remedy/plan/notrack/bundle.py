"""The actions of `notrack`: which pairs conntrack is not to see, proved by the packet walk with and without it.

A function of spec and facts: planned again when a container has another address, it names the new one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from remedy.errors import RefusedError
from remedy.facts.model import HostFacts
from remedy.firewall.ruleset import Ruleset
from remedy.firewall.untracked_pairs import NOTRACK
from remedy.firewall.writer import select_writer
from remedy.paths.consumers import Consumer
from remedy.paths.hypothesis import with_ruleset, without_ruleset
from remedy.paths.published import PublishedPort
from remedy.paths.walk import Datapath
from remedy.plan.actions import Action
from remedy.plan.foresight import facts_after
from remedy.plan.model import PlanWarning, Refusal
from remedy.plan.notrack import obstacles, told
from remedy.plan.notrack.inside import ends_with_other_rules, tracking_inside, untracking_inside
from remedy.plan.notrack.rule_actions import keeping_untracked, removal
from remedy.plan.notrack.survey import Survey, with_accepts_where_needed
from remedy.plan.refusals import pinned_refusal
from remedy.plan.rewiring.moved import rewiring_of
from remedy.plan.selection import Selected
from remedy.spec.models import HostPort, Spec


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
        return Untracking(before=_nothing_untracked(facts, "the spec says notrack: false"))
    balancer = selected.load_balancer
    if balancer is None:
        return Untracking(refusals=(obstacles.no_load_balancer(selected.load_balancer_unit),))
    if not balancer.is_running:
        return Untracking(
            before=_nothing_untracked(facts, f"{balancer.name} does not run"),
            warnings=(told.not_running(balancer.name),),
        )
    try:
        later = without_ruleset(facts_after(facts, actions), NOTRACK)
    except RefusedError:
        return Untracking()  # a bridge that no rule can name: the remedy that has to name it is refused
    survey = Survey.of(later, balancer, selected.backends, ports, options)
    if survey.refusals:
        return Untracking(refusals=tuple(dict.fromkeys(survey.refusals)))
    staying = [consumer for consumer in consumers if rewiring_of(consumer, actions) is None]
    return _write(spec, facts, survey, staying, inside=options.inside)


def _write(spec: Spec, facts: HostFacts, survey: Survey, consumers: Sequence[Consumer], *, inside: bool) -> Untracking:
    by_family = [[p for p in survey.bridged_past if p.family == family] for family in (4, 6)]
    warnings = [told.not_needed(pairs) for pairs in by_family if pairs]
    if not survey.pairs:
        reason = "what stays on a bridge is not tracked" if warnings else "no backend of the spec runs"
        return Untracking(before=_nothing_untracked(facts, reason), warnings=tuple(warnings))
    ruleset, dropped = with_accepts_where_needed(survey, survey.pairs)
    if dropped:
        refusals = tuple(obstacles.dropped_untracked(pair, verdict) for pair, verdict in dropped)
        return Untracking(refusals=refusals, warnings=tuple(warnings))
    found = select_writer(facts.firewall.backend).differences(ruleset, facts.firewall)
    warnings += told.choice(survey.facts, survey.path, consumers)
    warnings += dict.fromkeys(_own_published_ports(survey, ruleset))
    warnings += told.own_rules_inside(ends_with_other_rules(survey.facts, ruleset)) if inside else ()
    kept = ruleset if inside else Ruleset(name=NOTRACK)
    why = "no pair has them as an end, or they have other rules by now" if inside else "the spec says inside: false"
    return Untracking(
        before=tracking_inside(facts, kept, reason=why),
        after=(
            *(keeping_untracked(facts, ruleset, found) if found else ()),
            *untracking_inside(facts, survey.facts, kept),
        ),
        refusals=tuple(pinned_refusal(spec, facts, NOTRACK)) if found else (),
        warnings=tuple(warnings),
    )


def _nothing_untracked(facts: HostFacts, reason: str) -> tuple[Action, ...]:
    return *removal(facts, reason), *tracking_inside(facts, Ruleset(name=NOTRACK), reason=reason)


def _own_published_ports(survey: Survey, ruleset: Ruleset) -> Iterator[PlanWarning]:
    later = Datapath(with_ruleset(survey.facts, ruleset))
    source = f"container:{survey.balancer.name}"
    published: dict[tuple[str, int, str], list[PublishedPort]] = {}
    for port in survey.ports:
        published.setdefault((port.container.name, port.to_port, port.protocol), []).append(port)
    for pair in ruleset.untracked:
        for port in published.get((pair.server, pair.server_port, pair.protocol), ()):
            for gateway in port.network.gateways:
                to = HostPort(address=port.host_address or gateway, port=port.port, protocol=port.protocol)
                works = gateway.version == pair.family and survey.path.connect(source, to).reachable
                if works and later.connect(source, to).reachable is False:
                    yield told.own_published_port(pair, str(to))
