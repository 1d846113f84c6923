"""What the watcher keeps of a look at the host, which is not most of it: it waits for nearly all of its life."""

from __future__ import annotations

from remedy.facts.model import HostFacts


def kept_for_sync(facts: HostFacts) -> HostFacts:
    """All that decides what has to be done: without who is connected now, and without compose files."""
    spaces = tuple(space.model_copy(update={"connections": ()}) for space in facts.namespaces)
    conntrack = facts.conntrack.model_copy(update={"entries": ()})
    return facts.model_copy(update={"namespaces": spaces, "conntrack": conntrack, "compose_projects": ()})


def kept_for_quick(facts: HostFacts) -> HostFacts:
    """What the rules alone are decided by, together with the engine's next list of containers."""
    return facts.model_copy(
        update={
            "namespaces": tuple(
                space.model_copy(update={"routes": (), "rules": (), "listening": ()})
                for space in facts.namespaces
                if space.is_host
            ),
            "firewall": facts.firewall.model_copy(update={"tables": (), "nft_tables": ()}),
            "bridge_ports": (),
            "haproxies": (),
        }
    )
