"""The pairs for the containers of now: what may stay from conntrack without anybody being asked. Pure.

A container that was made again is the same end of its pair: it is known by its name, on the network that a run has
proved. By names alone that is told at once; whether a way is translated by now, and who is new, the packet walk tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from remedy.facts.model import Container, HostFacts
from remedy.firewall.forward_guard import stands_behind
from remedy.firewall.ruleset import Ruleset, UntrackedPair
from remedy.firewall.untracked_pairs import NOTRACK, of_today
from remedy.firewall.writer import select_writer
from remedy.paths.published import PublishedPort
from remedy.plan.actions import Action, UntrackInside
from remedy.plan.model import Refusal
from remedy.plan.notrack.pairs import in_order, place_of
from remedy.plan.selection import Selected
from remedy.spec.models import Spec

NOTHING = Ruleset(name=NOTRACK)
ENDS = 4  # of a place: who, whom, and at which port
MOST_REMEMBERED = 4096  # containers whose names never come again


@dataclass(frozen=True, slots=True)
class Followed:
    """ruleset: what is to stand, empty where nothing is; left_tracked: why pairs of the spec are not in it."""

    ruleset: Ruleset
    left_tracked: tuple[Refusal, ...] = ()


def remembered(known: Ruleset, found: Ruleset) -> Ruleset:
    """What is known to be right once this was found: the found pairs, and of who is not there now those from before.

    Two containers that have come to share another network may use it in place of the first.
    """
    ends = {place_of(pair)[:ENDS] for pair in found.untracked}
    away = [pair for pair in known.untracked if place_of(pair)[:ENDS] not in ends]
    newest = found if found.untracked else known
    return with_pairs(newest, (*found.untracked, *away)[:MOST_REMEMBERED])


def followed_by_name(spec: Spec, facts: HostFacts, known: Ruleset) -> Ruleset:
    """The known pairs at the addresses that their containers have now.

    Where the spec is silent, only those that are where they were.
    """
    if spec.remedies.notrack is None:
        return with_pairs(known, _unmoved(known, facts))
    if spec.remedies.notrack_options is None:
        return NOTHING
    return with_pairs(known, in_order(of_today(known.untracked, facts)))


def followed_by_walk(
    spec: Spec,
    facts: HostFacts,
    selected: Selected,
    ports: tuple[PublishedPort, ...],
    actions: Sequence[Action],
    known: Ruleset,
) -> Followed:
    """What a fresh plan would write once `actions` are done; where it would refuse a pair, the others.

    A known pair that is not reached at the moment stays: nothing translates it. Of a container that came after the
    look its namesake's pairs are followed by name, and who is new stays tracked while it is not known how the load
    balancer is configured. Raises RefusedError for a bridge that no rule can name.
    """
    # Here, and not for who follows no pairs: the packet walk is a tenth of the watcher's memory.
    from remedy.paths.hypothesis import without_ruleset
    from remedy.plan.foresight import facts_after
    from remedy.plan.notrack import obstacles
    from remedy.plan.notrack.survey import Survey, with_accepts_where_needed

    options, balancer = spec.remedies.notrack_options, selected.load_balancer
    if options is None:
        return Followed(followed_by_name(spec, facts, known))
    if balancer is None or not balancer.is_running:
        return Followed(NOTHING)
    later = without_ruleset(facts_after(facts, actions), NOTRACK)
    by_name = followed_by_name(spec, later, known)
    read = {identity for space in later.namespaces for identity in space.containers}
    if balancer.id not in read:
        return Followed(by_name)
    backends = [each for each in selected.backends if each.container.id in read]
    survey = Survey.of(later, balancer, backends, ports, options)
    standing = {place_of(pair) for pair in known.untracked}
    proved = survey.pairs if _is_haproxy_read(later, balancer) else []
    doubtful = (*survey.pairs, *survey.bridged_past, *survey.unproved)
    new = {each.container.name for each in selected.backends if each.container.id not in read}
    pairs = dict.fromkeys(
        (
            *proved,
            *(pair for pair in doubtful if place_of(pair) in standing),
            *(pair for pair in by_name.untracked if pair.server in new),
        )
    )
    ruleset, dropped = with_accepts_where_needed(survey, pairs)
    refusals = [*survey.refusals, *(obstacles.dropped_untracked(pair, verdict) for pair, verdict in dropped)]
    if dropped:
        ruleset, _ = with_accepts_where_needed(survey, pairs.keys() - {pair for pair, _ in dropped})
    return Followed(ruleset if ruleset.untracked else NOTHING, tuple(dict.fromkeys(refusals)))


def notrack_actions(facts: HostFacts, wanted: Ruleset) -> tuple[Action, ...]:
    """Bring remedy's notrack rules to `wanted` (no pairs: remove them), the accept ahead of the engine's rules."""
    from remedy.plan.notrack.rule_actions import keeping_untracked, removal

    if wanted.is_empty:
        return removal(facts, "no pair of the spec is left")
    found = select_writer(facts.firewall.backend).differences(wanted, facts.firewall)
    if found or not stands_behind(facts.firewall, wanted):
        return keeping_untracked(facts, wanted, found) if found else ()
    # The pairs are untracked all the while: there is nothing to forget.
    return keeping_untracked(facts, wanted, ("their accept stands behind the engine's rules",))[:1]


def held_inside(
    spec: Spec, facts: HostFacts, wanted: Ruleset, networks: Sequence[Action], applied: Sequence[Action]
) -> tuple[Action, ...]:
    """The own tables that runs keep empty, of the pairs' ends. networks: actions that come before.

    Nobody else's: a container with rules of its own has none yet just after its start, and would lose their states.
    """
    options = spec.remedies.notrack_options
    is_wanted = options is None or options.inside
    if wanted.is_empty or not is_wanted or not any(isinstance(action, UntrackInside) for action in applied):
        return ()
    from remedy.plan.foresight import facts_after
    from remedy.plan.notrack.inside import kept_empty_by, untracking_inside

    return untracking_inside(facts, facts_after(facts, networks), wanted, only=kept_empty_by(applied, facts))


def with_pairs(ruleset: Ruleset, pairs: Iterable[UntrackedPair]) -> Ruleset:
    """The same object where these are all of them, as they are; without any, none of the rest."""
    kept = tuple(pairs)
    if kept == ruleset.untracked:
        return ruleset
    return ruleset.model_copy(update={"untracked": kept}) if kept else NOTHING


def _unmoved(ruleset: Ruleset, facts: HostFacts) -> Iterable[UntrackedPair]:
    today = set(of_today(ruleset.untracked, facts))
    return (pair for pair in ruleset.untracked if pair in today)


def _is_haproxy_read(facts: HostFacts, balancer: Container) -> bool:
    """Whether its configuration is known: not while it starts, and of no other load balancer."""
    return any(haproxy.container_id == balancer.id for haproxy in facts.haproxies)
