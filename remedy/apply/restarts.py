"""What only a restart of a container brings back after a rollback.

A container that started while the userland proxy was off has no docker-proxy on [::], and gets none when the engine
runs with the proxy again: the engine keeps what it has mapped for as long as the container runs (20.10 to 28.5).

A container that started on two networks has an eth0 and an eth1, and Docker 28 gives the names in no fixed order
(measured on 28.5): the network that stays may be behind eth1, and an interface is renamed only while it is down.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from remedy.facts.model import HostFacts, Link, NetNamespace
from remedy.plan.actions import ConnectNetwork, SwitchUserlandProxy
from remedy.plan.basis import basis_of
from remedy.plan.model import Plan

_BINDING = re.compile(r"'(\S+)>\d+/(?:tcp|udp|sctp)'")
_CONTAINER = "container "


def what_a_restart_brings_back(plan: Plan, facts: HostFacts) -> tuple[str, ...]:
    """A warning for each thing of a running container that is not as before the plan until it starts once more."""
    return (*bindings_that_need_a_restart(plan, facts), *interfaces_with_another_name(plan, facts))


def interfaces_with_another_name(plan: Plan, facts: HostFacts) -> tuple[str, ...]:
    """A warning for each container that was on two networks when it started, and kept the second name for the first."""
    members = {m.container for a in plan.actions if isinstance(a, ConnectNetwork) for m in a.members}
    names = {c.id: c.name for c in facts.containers if c.name in members and len(c.endpoints) == 1}
    return tuple(
        f"the interface of {names[container]} is called {link.name}, as it was started on two networks; it is eth0 "
        f"again once it is restarted: docker restart {names[container]}"
        for namespace in facts.namespaces
        for container in namespace.containers
        if container in names
        for link in _cables(namespace)
        if link.name != "eth0"
    )


def _cables(namespace: NetNamespace) -> Sequence[Link]:
    """The one interface through which a namespace reaches the rest; none where there are more than one."""
    cables = [link for link in namespace.links if link.kind == "veth"]
    return cables if len(cables) == 1 else ()


def bindings_that_need_a_restart(plan: Plan, facts: HostFacts) -> tuple[str, ...]:
    """A warning for each running container that published a port before the plan, and does not any more."""
    if not any(isinstance(action, SwitchUserlandProxy) for action in plan.actions):
        # Other ports than before are compose's doing then: with a range it gives them out anew at each start.
        return ()
    return tuple(_warnings(plan.basis, basis_of(facts), {c.name for c in facts.containers if c.is_running}))


def _warnings(before: Mapping[str, str], now: Mapping[str, str], running: set[str]) -> Iterator[str]:
    for item, described in before.items():
        name = item.removeprefix(_CONTAINER)
        if not item.startswith(_CONTAINER) or item not in now or name not in running:
            continue
        lost = sorted(set(_BINDING.findall(described)) - set(_BINDING.findall(now[item])))
        if lost:
            yield (
                f"{name} was started while the userland proxy was off; docker-proxy serves {', '.join(lost)} again "
                f"once it is restarted: docker restart {name}"
            )
