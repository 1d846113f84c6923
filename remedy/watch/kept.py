"""What the watcher keeps of a look at the host, which is not most of it: it waits for nearly all of its life."""

from __future__ import annotations

from remedy.facts.model import HostFacts, NetNamespace


def kept_for_sync(facts: HostFacts) -> HostFacts:
    """All that decides what has to be done: without who is connected now, and without compose files."""
    spaces = tuple(space.model_copy(update={"connections": ()}) for space in facts.namespaces)
    conntrack = facts.conntrack.model_copy(update={"entries": ()})
    return facts.model_copy(update={"namespaces": spaces, "conntrack": conntrack, "compose_projects": ()})


def kept_for_rules(facts: HostFacts) -> HostFacts:
    """The same where no packet has to be walked, because no run keeps pairs from conntrack: not half of it."""
    return kept_for_sync(facts).model_copy(update={"namespaces": _host_addresses(facts), "haproxies": ()})


def kept_for_quick(facts: HostFacts) -> HostFacts:
    """What the rules alone are decided by, together with the engine's next list of containers."""
    return facts.model_copy(
        update={
            "namespaces": _host_addresses(facts),
            "firewall": facts.firewall.model_copy(update={"tables": (), "nft_tables": ()}),
            "bridge_ports": (),
            "haproxies": (),
        }
    )


def _host_addresses(facts: HostFacts) -> tuple[NetNamespace, ...]:
    """The host's own namespace, of which the addresses count."""
    gone = {"links": (), "routes": (), "rules": (), "listening": (), "connections": ()}
    return tuple(space.model_copy(update=gone) for space in facts.namespaces if space.is_host)
