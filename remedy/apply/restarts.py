"""What only a restart of a container brings back after a rollback.

A container that started while the userland proxy was off has no docker-proxy on [::], and gets none when the engine
runs with the proxy again: the engine keeps what it has mapped for as long as the container runs (20.10 to 28.5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from remedy.facts.model import HostFacts
from remedy.plan.basis import basis_of
from remedy.plan.model import Plan, SwitchUserlandProxy

_BINDING = re.compile(r"'(\S+)>\d+/(?:tcp|udp|sctp)'")
_CONTAINER = "container "


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
