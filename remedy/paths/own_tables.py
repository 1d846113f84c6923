"""The containers' own conntrack tables after a change: pure, from facts to facts."""

from __future__ import annotations

from collections.abc import Collection

from remedy.facts.model import HostFacts, NetNamespace, OwnTable


def with_own_tables(facts: HostFacts, containers: Collection[str], *, empty: bool) -> HostFacts:
    """With remedy's rules in these containers' namespaces (ids), or without them."""
    spaces = (
        space.model_copy(update={"own_table": space.own_table.model_copy(update={"kept_empty": empty})})
        if space.own_table is not None and any(identity in containers for identity in space.containers)
        else space
        for space in facts.namespaces
    )
    return facts.model_copy(update={"namespaces": tuple(spaces)})


def with_engines_dns(space: NetNamespace) -> OwnTable | None:
    """The table once the container is on a user-defined network, where the engine serves it names."""
    if space.own_table is None or space.own_table.rules != "none":
        return space.own_table
    return space.own_table.model_copy(update={"rules": "engine"})
