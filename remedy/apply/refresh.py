"""Actions brought up to date before they are undone: containers come and go between apply and rollback.

What is pinned to an address or a bridge in the plan of then must not be written on the host of now: the rules that
bridge the restart are made anew from fresh facts, and bridges that appeared meanwhile are cleaned up too.
"""

from __future__ import annotations

from remedy.facts.model import HostFacts
from remedy.firewall.ruleset import Ruleset
from remedy.host.sysctls import conf_name
from remedy.paths.engine_versions import leaves_masquerade
from remedy.paths.published import published_ports
from remedy.plan.model import Action, RemoveRules, SwitchUserlandProxy, WriteRules
from remedy.plan.redirects import bridging_ruleset, engine_bridges
from remedy.plan.userland_proxy import masquerade_rule


def refreshed(action: Action, facts: HostFacts | None) -> Action:
    """The action as it must be undone on the host of `facts`; None: the engine does not answer, nothing is known.

    Without facts nothing is bridged: there is no engine that could be interrupted.
    """
    if isinstance(action, WriteRules | RemoveRules):
        if action.ruleset.name != "bridging":
            return action
        return action.model_copy(update={"ruleset": _bridging(action.ruleset, facts)})
    if isinstance(action, SwitchUserlandProxy) and action.restart and facts is not None:
        return _refreshed_switch(action, facts)
    return action


def _bridging(planned: Ruleset, facts: HostFacts | None) -> Ruleset:
    if facts is None:
        return planned.model_copy(update={"redirects": (), "guard_localnet": ()})
    return bridging_ruleset(facts, published_ports(facts))


def _refreshed_switch(action: SwitchUserlandProxy, facts: HostFacts) -> SwitchUserlandProxy:
    known = set(action.ruleset.engine_bridges)
    appeared = [bridge for bridge in engine_bridges(facts) if bridge not in known]
    sysctls = {conf_name(bridge, "route_localnet"): "0" for bridge in appeared}
    leftovers = tuple(("nat", "POSTROUTING", masquerade_rule(bridge)) for bridge in appeared)
    return action.model_copy(
        update={
            "ruleset": _bridging(action.ruleset, facts),
            "sysctls_before": {**action.sysctls_before, **(sysctls if not action.target else {})},
            "leftovers": (*action.leftovers, *leftovers)
            if leaves_masquerade(facts.engine.version_tuple) and not action.target
            else action.leftovers,
        }
    )
