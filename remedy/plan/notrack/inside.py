"""The containers' own conntrack tables: whose are kept empty, and whose are let alone again. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from remedy.facts.model import Container, HostFacts, OwnTable
from remedy.firewall.ruleset import Ruleset
from remedy.plan.actions import Action, InsideMember, UntrackInside
from remedy.plan.user_network.names import service_of

SHOWN = 4


def untracking_inside(
    facts: HostFacts, later: HostFacts, ruleset: Ruleset, only: Collection[str] | None = None
) -> tuple[Action, ...]:
    """Keep the tables of the pairs' ends empty (of `only` these names) which the engine's DNS rules would fill.

    later: the host after the actions before; who joins a user-defined network by them has such rules then.
    """
    lacking = [
        container
        for container, table in _ends(later, ruleset)
        if table.rules == "engine" and not table.kept_empty and (only is None or container.name in only)
    ]
    return (_action(facts, lacking, untracked=True),) if lacking else ()


def tracking_inside(facts: HostFacts, ruleset: Ruleset, *, reason: str = "") -> tuple[Action, ...]:
    """Take the rules out of the namespaces of which nobody is an end of a pair, and of those with others' by now."""
    names = _names(ruleset)
    surplus = [
        members[0]
        for members, table in _own_tables(facts)
        if table.kept_empty and (table.rules == "other" or names.isdisjoint(each.name for each in members))
    ]
    return (_action(facts, surplus, untracked=False, reason=reason),) if surplus else ()


def ends_with_other_rules(facts: HostFacts, ruleset: Ruleset) -> tuple[Container, ...]:
    """The pairs' ends in whose namespaces are rules that are not the engine's: they may need connections tracked."""
    return tuple(container for container, table in _ends(facts, ruleset) if table.rules == "other")


def kept_empty_by(applied: Sequence[Action], facts: HostFacts) -> frozenset[str]:
    """The names of whose tables runs keep empty, and of their services' other containers, but for who was let go."""
    names: set[str] = set()
    let_go: set[str] = set()
    for action in applied:
        if isinstance(action, UntrackInside):
            members = {member.container for member in action.members}
            names, let_go = (
                (names | members, let_go - members) if action.untracked else (names - members, let_go | members)
            )
    services = {service_of(container) for container in facts.containers if container.name in names} - {None}
    of_services = {container.name for container in facts.containers if service_of(container) in services}
    return frozenset(names | of_services - let_go)


def _names(ruleset: Ruleset) -> frozenset[str]:
    return frozenset(name for pair in ruleset.untracked for name in (pair.client, pair.server))


def _ends(facts: HostFacts, ruleset: Ruleset) -> Iterator[tuple[Container, OwnTable]]:
    """Each namespace with an end of a pair in it, once, by that end."""
    names = _names(ruleset)
    for members, table in _own_tables(facts):
        found = next((member for member in members if member.name in names), None)
        if found is not None:
            yield found, table


def _own_tables(facts: HostFacts) -> Iterator[tuple[tuple[Container, ...], OwnTable]]:
    """Each namespace of containers whose table was read, with who shares it."""
    containers = {container.id: container for container in facts.containers if container.is_running}
    for space in facts.namespaces:
        members = tuple(containers[identity] for identity in space.containers if identity in containers)
        if space.own_table is not None and not space.is_host and members:
            yield members, space.own_table


def _action(facts: HostFacts, containers: Sequence[Container], *, untracked: bool, reason: str = "") -> UntrackInside:
    names = ", ".join(container.name for container in containers[:SHOWN])
    names += f" and {len(containers) - SHOWN} more" if len(containers) > SHOWN else ""
    tracked = "every connection has an entry in the container's own table, which nothing on the host shows"
    kept = "nothing is tracked there but the loopback interface, by which the engine's DNS is asked"
    return UntrackInside(
        id="untrack_inside" if untracked else "track_inside",
        summary=f"{'keep' if untracked else 'let'} the own conntrack table{'s' * (len(containers) > 1)} of {names} "
        f"{'empty' if untracked else 'fill again'}",
        reason="on a user-defined network the engine's DNS rules have each connection tracked once more, in the "
        "container's own namespace"
        if untracked
        else reason,
        before=tracked if untracked else kept,
        after=kept if untracked else tracked,
        inverse="the rules are removed there" if untracked else "write them again",
        members=tuple(InsideMember(container=each.name, container_id=each.id) for each in containers),
        firewall_backend=facts.firewall.backend,
        untracked=untracked,
    )
