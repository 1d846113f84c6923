"""What may be done without asking: bring back what applied runs have put on the host, for the containers of now.

Rules that are pinned to addresses, what they rest on (hairpin mode, route_localnet), and the runs' containers on the
runs' networks. Nothing here restarts, reloads or cuts anything, and nothing is put there that no run has put there.
Pure. How packets travel is walked for untracked pairs alone, because NAT in their way would cut them off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from remedy.facts.model import HostFacts
from remedy.firewall.ruleset import Ruleset, RulesetName
from remedy.firewall.untracked_pairs import NOTRACK
from remedy.paths.published import PublishedPort, container_by_address, published_ports
from remedy.plan.actions import Action, RemoveRules, WriteRules
from remedy.plan.hairpin import hairpin_actions, wanted_hairpin
from remedy.plan.held_networks import held_networks
from remedy.plan.model import Refusal
from remedy.plan.notrack.following import (
    followed_by_name,
    followed_by_walk,
    held_inside,
    notrack_actions,
    remembered,
    with_pairs,
)
from remedy.plan.notrack.pairs import in_order
from remedy.plan.selection import Selected, only_present, select
from remedy.spec.models import Spec

_NEEDED = ("firewall", "network")


@dataclass(frozen=True, slots=True)
class Held:
    """actions: what has to be done; rulesets: what stands of our rules then, an empty one where none do.

    left_tracked: why pairs that the spec wants untracked are not; known: pairs, for the next time; unjoined: why a
    network is not joined again.
    """

    actions: tuple[Action, ...]
    rulesets: tuple[Ruleset, ...]
    left_tracked: tuple[Refusal, ...] = ()
    known: Ruleset | None = None
    unjoined: tuple[Refusal, ...] = ()


def held(spec: Spec, facts: HostFacts, applied: Sequence[Action], last: Ruleset | None = None) -> Held:
    """What has to be done so that the host is as the applied runs left it, with today's containers.

    applied: the actions of all applied runs, the oldest first; last: the pairs known then. What `spec` is silent about
    stays as it is, except that a rule whose container does not have its address any more goes. Raises SpecError (a port
    that belongs to two backends), RefusedError (a bridge that no rule can name).
    """
    wanted, selected, ports = _resolved(spec, facts)
    networks, unjoined = held_networks(facts, selected, applied)
    rulesets: list[Ruleset] = []
    actions: list[Action] = []
    left_tracked: tuple[Refusal, ...] = ()
    hairpin = _hairpin(wanted, facts, selected, applied)
    if hairpin is not None:
        rulesets.append(hairpin)
        actions += hairpin_actions(facts, hairpin)
    known = _untracked(applied, last)
    if known is not None:
        followed = followed_by_walk(wanted, facts, selected, ports, networks, known)
        rulesets.append(followed.ruleset)
        actions += notrack_actions(facts, followed.ruleset)
        actions += held_inside(wanted, facts, followed.ruleset, networks, applied)
        left_tracked = followed.left_tracked
        known = remembered(known, followed.ruleset)
    return Held((*networks, *actions), tuple(rulesets), left_tracked, known, unjoined)


def held_rulesets(
    spec: Spec, facts: HostFacts, applied: Sequence[Action], last: Ruleset | None = None
) -> tuple[Ruleset, ...]:
    """The rulesets alone, by the containers and networks of `facts`: the rules in it may be old.

    last: as `held` knew the pairs last; who is reached how is taken from there, and not walked. Raises as `held`.
    """
    wanted, selected, _ = _resolved(spec, facts)
    hairpin = _hairpin(wanted, facts, selected, applied)
    known = _untracked(applied, last)
    return (
        *((hairpin,) if hairpin is not None else ()),
        *((followed_by_name(wanted, facts, known),) if known is not None else ()),
    )


def _resolved(spec: Spec, facts: HostFacts) -> tuple[Spec, Selected, tuple[PublishedPort, ...]]:
    """The spec of whom there is, without what only a run may do."""
    wanted = only_present(spec, facts)
    wanted = wanted.model_copy(update={"remedies": wanted.remedies.model_copy(update={"userland_proxy": None})})
    ports = published_ports(facts)
    return wanted, select(wanted, facts, ports), ports


def _untracked(applied: Sequence[Action], last: Ruleset | None) -> Ruleset | None:
    """The pairs that are known to be right: as a run wrote them, or as they were found since. None: no run has any."""
    written = held_ruleset(applied, NOTRACK)
    return written if written is None or last is None else remembered(written, last)


def unread_for_holding(facts: HostFacts) -> tuple[str, ...]:
    """What could not be read and may not be guessed. Not containers: those that come and go never can all be."""
    return tuple(f"{unread.item}: {unread.reason}" for unread in facts.unread if unread.item.startswith(_NEEDED))


def without_gone(ruleset: Ruleset, facts: HostFacts) -> Ruleset:
    """The ruleset without the redirects whose container does not have the address any more."""
    owners = {address: container.name for address, container in container_by_address(facts).items()}
    kept = tuple(redirect for redirect in ruleset.redirects if owners.get(redirect.to_address) == redirect.container)
    return with_redirects(ruleset, kept)


def without_containers(ruleset: Ruleset, names: frozenset[str]) -> Ruleset:
    """The ruleset without what is pinned to the addresses of these containers; the same object where nothing is."""
    kept = with_redirects(ruleset, tuple(r for r in ruleset.redirects if r.container not in names))
    return with_pairs(kept, (pair for pair in kept.untracked if names.isdisjoint((pair.client, pair.server))))


def as_written_for(ruleset: Ruleset, written: Ruleset | None, names: frozenset[str]) -> Ruleset:
    """The ruleset, with what is written for these containers in the place of what it has for them."""
    kept = without_containers(ruleset, names)
    if written is None or not names:
        return kept
    redirects = [redirect for redirect in written.redirects if redirect.container in names]
    pairs = [pair for pair in written.untracked if not names.isdisjoint((pair.client, pair.server))]
    if not redirects and not pairs:
        return kept
    # In the order that a plan has them in; and with all that either of the two rests on.
    return kept.model_copy(
        update={
            "redirects": tuple(sorted((*kept.redirects, *redirects), key=lambda redirect: redirect.container)),
            "untracked": in_order((*kept.untracked, *pairs)) if pairs else kept.untracked,
            "engine_bridges": tuple(sorted({*kept.engine_bridges, *written.engine_bridges})),
            "guard_localnet": tuple(sorted({*kept.guard_localnet, *written.guard_localnet})),
            "forward_guard": kept.forward_guard or written.forward_guard,
            "accept_ahead": kept.accept_ahead or written.accept_ahead,
        }
    )


def with_redirects(ruleset: Ruleset, redirects: tuple[object, ...]) -> Ruleset:
    """The same object where these are all of them."""
    if len(redirects) == len(ruleset.redirects):
        return ruleset
    return ruleset.model_copy(update={"redirects": redirects} if redirects else {"redirects": (), "guard_localnet": ()})


def held_ruleset(applied: Sequence[Action], name: RulesetName) -> Ruleset | None:
    """The ruleset of that name as the newest run wrote it; None when no run has, or a newer one took it away."""
    found = None
    for action in applied:
        if isinstance(action, WriteRules) and action.ruleset.name == name:
            found = action.ruleset
        elif isinstance(action, RemoveRules) and action.ruleset.name == name:
            found = None
    return found


def pinned_to(ruleset: Ruleset) -> tuple[str, ...]:
    """Each address that the ruleset is pinned to, and whose it is, for people."""
    return (
        *(f"{r.port} -> {r.container} {r.to_address}:{r.to_port}" for r in ruleset.redirects),
        *(
            f"{p.client} {p.client_address} <-> {p.server} {p.server_address}:{p.server_port}"
            for p in ruleset.untracked
        ),
    )


def _hairpin(spec: Spec, facts: HostFacts, selected: Selected, applied: Sequence[Action]) -> Ruleset | None:
    """The rules to have; None where no run has written any."""
    written = held_ruleset(applied, "hairpin")
    if written is None:
        return None
    wanted = wanted_hairpin(spec, facts, selected, None)
    return without_gone(written, facts) if wanted is None else wanted
