"""Actions brought up to date before they are undone: containers come and go between apply and rollback.

What is pinned to an address or a bridge in the plan of then must not be written on the host of now: the rules that
bridge the restart are made anew from fresh facts, and bridges that appeared meanwhile are cleaned up too.
"""

from __future__ import annotations

from collections.abc import Sequence

from remedy.apply.followers import with_followers
from remedy.facts.model import HostFacts
from remedy.firewall.ruleset import Ruleset
from remedy.host.sysctls import conf_name
from remedy.paths.published import published_ports
from remedy.plan.actions import (
    INTENT_LABEL,
    Action,
    CreateNetwork,
    RemoveRules,
    SetSysctls,
    SwitchUserlandProxy,
    WriteRules,
)
from remedy.plan.redirects import bridging_ruleset, engine_bridges
from remedy.plan.userland_proxy import leftovers_of

Begun = tuple[tuple[Action, dict[str, object]], ...]


def refreshed_run(begun: Begun, planned: Sequence[Action], facts: HostFacts | None) -> Begun:
    """The begun actions of a run as they must be undone, in the same order.

    route_localnet goes back last of all: the bridging rules serve loopback by it until they are removed, also on
    bridges that appeared since the plan.
    """
    own = _own_bridges(planned, facts)
    late = _needed_by_rules(planned, facts, own)
    return tuple(
        (with_followers(_in_time(refreshed(action, facts, own), late), planned, facts), undo) for action, undo in begun
    )


def _own_bridges(planned: Sequence[Action], facts: HostFacts | None) -> frozenset[str]:
    """The bridges of networks that the run made: they go with these, so nothing is tidied on them before.

    It would be known only while the engine answers whose they are, and the commands for finishing by hand would be
    others when it does not.
    """
    own = {action.name for action in planned if isinstance(action, CreateNetwork)}
    networks = () if facts is None else facts.networks
    return frozenset(n.bridge for n in networks if n.bridge and n.name in own and INTENT_LABEL in n.labels)


def _needed_by_rules(planned: Sequence[Action], facts: HostFacts | None, own: frozenset[str]) -> dict[str, str]:
    """What the undo of the switch would put back too early; nothing where no later undo could do it instead."""
    if not any(isinstance(action, SetSysctls) for action in planned):
        return {}
    switches = [refreshed(action, facts, own) for action in planned if isinstance(action, SwitchUserlandProxy)]
    return {
        name: value
        for switch in switches
        if isinstance(switch, SwitchUserlandProxy)
        for name, value in switch.sysctls_before.items()
        if name in {conf_name(bridge, "route_localnet") for bridge in switch.ruleset.guard_localnet}
    }


def _in_time(action: Action, late: dict[str, str]) -> Action:
    if isinstance(action, SwitchUserlandProxy):
        early = {name: value for name, value in action.sysctls_before.items() if name not in late}
        return action.model_copy(update={"sysctls_before": early})
    if isinstance(action, SetSysctls):
        return action.model_copy(update={"previous": {**late, **action.previous}})
    return action


def refreshed(action: Action, facts: HostFacts | None, own: frozenset[str] = frozenset()) -> Action:
    """The action as it must be undone on the host of `facts`; None: the engine does not answer, nothing is known.

    own: bridges that the undo of the run removes. Without facts nothing is bridged: there is no engine that could be
    interrupted.
    """
    if isinstance(action, WriteRules | RemoveRules):
        if action.ruleset.name != "bridging":
            return action
        return action.model_copy(update={"ruleset": _bridging(action.ruleset, facts)})
    if isinstance(action, SwitchUserlandProxy) and action.restart and facts is not None:
        return _refreshed_switch(action, facts, own)
    return action


def _bridging(planned: Ruleset, facts: HostFacts | None) -> Ruleset:
    if facts is None:
        return planned.model_copy(update={"redirects": (), "guard_localnet": ()})
    return bridging_ruleset(facts, published_ports(facts))


def _refreshed_switch(action: SwitchUserlandProxy, facts: HostFacts, own: frozenset[str]) -> SwitchUserlandProxy:
    # Without bridging rules in the plan there are none to be brought up to date, and nobody who would remove them.
    is_bridged = bool(action.ruleset.redirects)
    known = own.union(action.ruleset.engine_bridges)
    appeared = [bridge for bridge in engine_bridges(facts) if bridge not in known]
    sysctls = {conf_name(bridge, "route_localnet"): "0" for bridge in appeared}
    leftovers = [leftover for bridge in appeared for leftover in leftovers_of(facts, bridge)]
    return action.model_copy(
        update={
            "ruleset": _bridging(action.ruleset, facts) if is_bridged else action.ruleset,
            "sysctls_before": {**action.sysctls_before, **(sysctls if not action.target else {})},
            "leftovers": action.leftovers if action.target else (*action.leftovers, *leftovers),
        }
    )
