"""The facts as they will be after a plan's actions, before any is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce

from remedy.facts.daemon_json import parse_daemon_json
from remedy.facts.model import HostFacts
from remedy.paths.hypothesis import (
    with_containers_restarted,
    with_hairpin_mode,
    with_ruleset,
    with_sysctls,
    with_userland_proxy,
    without_ruleset,
)
from remedy.paths.joined_network import with_members, with_network
from remedy.paths.own_tables import with_own_tables
from remedy.plan.actions import (
    Action,
    ConnectNetwork,
    CreateNetwork,
    FileContent,
    ForgetFlows,
    HoldLiveRestore,
    ReleaseLiveRestore,
    RemoveRules,
    RewireHaproxy,
    SetHairpinMode,
    SetSysctls,
    SetWatcher,
    SizeConntrack,
    SwitchUserlandProxy,
    UntrackInside,
    WriteComposeOverride,
    WriteRules,
)
from remedy.plan.conntrack.foresight import with_conntrack_size
from remedy.plan.rewiring.moved import with_rewired_servers


def facts_after(facts: HostFacts, actions: Sequence[Action]) -> HostFacts:
    """The host's facts after these actions in order: a whole plan's, or its first few.

    Each action is taken to succeed. Containers that stop with the engine (no live-restore) are taken to start again
    with the addresses that they have; really they may change them. Raises RefusedError for rules that cannot be
    written.
    """
    return reduce(_after, actions, facts)


def facts_after_each(facts: HostFacts, actions: Sequence[Action]) -> Iterator[tuple[Action, HostFacts]]:
    """Each action with the facts after it."""
    for action in actions:
        facts = _after(facts, action)
        yield action, facts


def _after(facts: HostFacts, action: Action) -> HostFacts:
    match action:
        case SetSysctls():
            return with_sysctls(facts, action.values)
        case SetHairpinMode():
            return with_hairpin_mode(facts, {port.interface for port in action.ports})
        case WriteRules() | RemoveRules():
            return _ruled(facts, action)
        case HoldLiveRestore() | ReleaseLiveRestore():
            return _live_restored(facts, action)
        case SwitchUserlandProxy():
            return _switched(facts, action)
        case RewireHaproxy():
            return with_rewired_servers(facts, action)
        case CreateNetwork():
            return with_network(facts, action.name, action.subnets)
        case ConnectNetwork():
            return with_members(facts, action.network, {m.container_id: m.aliases for m in action.members})
        case SizeConntrack():
            return with_conntrack_size(facts, action)
        case SetWatcher():
            state = "active" if action.installed else None
            return facts.model_copy(update={"systemd": facts.systemd.model_copy(update={"watcher": state})})
        case UntrackInside():
            return with_own_tables(facts, {member.container_id for member in action.members}, empty=action.untracked)
        case ForgetFlows() | WriteComposeOverride():
            return facts  # seen traffic stays as it was seen; an override bears on containers that are yet to be made


def _ruled(facts: HostFacts, action: WriteRules | RemoveRules) -> HostFacts:
    if isinstance(action, WriteRules):
        return with_ruleset(facts, action.ruleset)
    return without_ruleset(facts, action.ruleset.name)


def _live_restored(facts: HostFacts, action: HoldLiveRestore | ReleaseLiveRestore) -> HostFacts:
    if isinstance(action, HoldLiveRestore):
        return _with_live_restore(_with_daemon_json(facts, action.content), on=True)
    return _with_live_restore(_with_daemon_json(facts, action.final), on=action.effective_after)


def _switched(facts: HostFacts, action: SwitchUserlandProxy) -> HostFacts:
    written = _with_daemon_json(facts, action.content)
    if not action.restart:
        return written
    switched = with_userland_proxy(written, on=action.target)
    if action.ruleset.redirects:
        # The engine has put its own rules in front of the bridging accept, and the guard that one in front again.
        switched = with_ruleset(switched, action.ruleset)
    return switched if action.live_restore else with_containers_restarted(switched)


def _with_daemon_json(facts: HostFacts, content: FileContent) -> HostFacts:
    raw = content.raw
    parsed, problem = (None, None) if raw is None else parse_daemon_json(raw)
    values = {
        "exists": raw is not None,
        "raw": raw,
        "mode": None if raw is None else content.mode,
        "uid": None if raw is None else content.uid,
        "gid": None if raw is None else content.gid,
        "parsed": parsed,
        "problem": problem,
    }
    return facts.model_copy(update={"daemon_json": facts.daemon_json.model_copy(update=values)})


def _with_live_restore(facts: HostFacts, *, on: bool) -> HostFacts:
    return facts.model_copy(update={"engine": facts.engine.model_copy(update={"live_restore": on})})
