"""The containers' own conntrack tables: whose are kept empty, and whose are let alone again. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from remedy.facts.model import Container, HostFacts, OwnTable
from remedy.firewall.ruleset import Ruleset
from remedy.plan.actions import Action, InsideMember, UntrackInside

SHOWN = 4


def untracking_inside(facts: HostFacts, later: HostFacts, ruleset: Ruleset) -> tuple[Action, ...]:
    """Keep the tables of the pairs' ends empty which the engine's DNS rules would fill.

    later: the host after the actions before; who joins a user-defined network by them has such rules then.
    """
    lacking = [c for c, table in _ends(later, ruleset) if table.rules == "engine" and not table.kept_empty]
    return (_action(facts, lacking, untracked=True),) if lacking else ()


def tracking_inside(facts: HostFacts, ruleset: Ruleset, *, reason: str = "") -> tuple[Action, ...]:
    """Take the rules out of the namespaces of who is no end of a pair, and of who has rules of its own by now."""
    ends = {container.id for container, table in _ends(facts, ruleset) if table.rules != "other"}
    surplus = [c for c, table in _own_tables(facts) if table.kept_empty and c.id not in ends]
    return (_action(facts, surplus, untracked=False, reason=reason),) if surplus else ()


def ends_with_other_rules(facts: HostFacts, ruleset: Ruleset) -> tuple[Container, ...]:
    """The pairs' ends in whose namespaces are rules that are not the engine's: they may need connections tracked."""
    return tuple(container for container, table in _ends(facts, ruleset) if table.rules == "other")


def _ends(facts: HostFacts, ruleset: Ruleset) -> Iterator[tuple[Container, OwnTable]]:
    names = {name for pair in ruleset.untracked for name in (pair.client, pair.server)}
    yield from _own_tables(facts, names)


def _own_tables(facts: HostFacts, names: Collection[str] | None = None) -> Iterator[tuple[Container, OwnTable]]:
    """Each container's namespace once, by the first of those that share it (of `names`, where given)."""
    containers = {container.id: container for container in facts.containers if container.is_running}
    for space in facts.namespaces:
        members = (containers[identity] for identity in space.containers if identity in containers)
        found = next((member for member in members if names is None or member.name in names), None)
        if space.own_table is not None and not space.is_host and found is not None:
            yield found, space.own_table


def _action(facts: HostFacts, containers: Sequence[Container], *, untracked: bool, reason: str = "") -> UntrackInside:
    names = ", ".join(container.name for container in containers[:SHOWN])
    names += f" and {len(containers) - SHOWN} more" if len(containers) > SHOWN else ""
    tracked = "every connection has an entry in the container's own table, which nothing on the host shows"
    kept = "nothing is tracked there but the loopback interface, by which the engine's DNS goes"
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
