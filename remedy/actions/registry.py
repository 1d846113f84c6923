"""Which class carries out which kind of action; each is imported with the first of its kind."""

from __future__ import annotations

from typing import Protocol

from remedy.actions.context import ActionContext
from remedy.plan.actions import (
    Action,
    ConnectNetwork,
    CreateNetwork,
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


class Executor(Protocol):
    """One action on this host. apply and revert are idempotent: after a kill they are simply done again."""

    def undo_data(self) -> dict[str, object]:
        """What revert needs and the plan does not have; JSON values, read from the host before apply."""

    def is_applied(self) -> bool:
        """Whether the host is as apply would leave it."""

    def apply(self) -> None:
        """Make the change. Raises RemedyError or OSError."""

    def revert(self, undo: dict[str, object]) -> None:
        """Put back what was there. Raises RemedyError or OSError."""


def executor_for(action: Action, context: ActionContext) -> Executor:
    """The executor of an action."""
    match action:
        case SetSysctls():
            from remedy.actions.sysctls import SysctlsAction

            return SysctlsAction(action, context)
        case SetHairpinMode():
            from remedy.actions.hairpin_mode import HairpinModeAction

            return HairpinModeAction(action, context)
        case WriteRules() | RemoveRules() | ForgetFlows() | UntrackInside():
            return _of_firewall(action, context)
        case HoldLiveRestore():
            from remedy.actions.live_restore import HoldLiveRestoreAction

            return HoldLiveRestoreAction(action, context)
        case ReleaseLiveRestore():
            from remedy.actions.live_restore import ReleaseLiveRestoreAction

            return ReleaseLiveRestoreAction(action, context)
        case SwitchUserlandProxy():
            from remedy.actions.userland_proxy import UserlandProxyAction

            return UserlandProxyAction(action, context)
        case CreateNetwork():
            from remedy.actions.networks import CreateNetworkAction

            return CreateNetworkAction(action, context)
        case ConnectNetwork():
            from remedy.actions.networks import ConnectNetworkAction

            return ConnectNetworkAction(action, context)
        case RewireHaproxy():
            from remedy.actions.rewire_haproxy import RewireHaproxyAction

            return RewireHaproxyAction(action, context)
        case WriteComposeOverride():
            from remedy.actions.compose_override import ComposeOverrideAction

            return ComposeOverrideAction(action, context)
        case SizeConntrack():
            from remedy.actions.conntrack_size import ConntrackSizeAction

            return ConntrackSizeAction(action, context)
        case SetWatcher():
            from remedy.actions.watcher import WatcherAction

            return WatcherAction(action, context)


def _of_firewall(action: WriteRules | RemoveRules | ForgetFlows | UntrackInside, context: ActionContext) -> Executor:
    match action:
        case WriteRules():
            from remedy.actions.rules import WriteRulesAction

            return WriteRulesAction(action, context)
        case RemoveRules():
            from remedy.actions.rules import RemoveRulesAction

            return RemoveRulesAction(action, context)
        case ForgetFlows():
            from remedy.actions.forget_flows import ForgetFlowsAction

            return ForgetFlowsAction(action, context)
        case UntrackInside():
            from remedy.actions.untrack_inside import UntrackInsideAction

            return UntrackInsideAction(action, context)
