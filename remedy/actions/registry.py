"""Which class carries out which kind of action."""

from __future__ import annotations

from typing import Protocol

from remedy.actions.compose_override import ComposeOverrideAction
from remedy.actions.conntrack_size import ConntrackSizeAction
from remedy.actions.context import ActionContext
from remedy.actions.forget_flows import ForgetFlowsAction
from remedy.actions.hairpin_mode import HairpinModeAction
from remedy.actions.live_restore import HoldLiveRestoreAction, ReleaseLiveRestoreAction
from remedy.actions.networks import ConnectNetworkAction, CreateNetworkAction
from remedy.actions.rewire_haproxy import RewireHaproxyAction
from remedy.actions.rules import RemoveRulesAction, WriteRulesAction
from remedy.actions.sysctls import SysctlsAction
from remedy.actions.userland_proxy import UserlandProxyAction
from remedy.actions.watcher import WatcherAction
from remedy.plan.model import (
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
            return SysctlsAction(action, context)
        case SetHairpinMode():
            return HairpinModeAction(action, context)
        case WriteRules() | RemoveRules() | ForgetFlows():
            return _of_firewall(action, context)
        case HoldLiveRestore():
            return HoldLiveRestoreAction(action, context)
        case ReleaseLiveRestore():
            return ReleaseLiveRestoreAction(action, context)
        case SwitchUserlandProxy():
            return UserlandProxyAction(action, context)
        case CreateNetwork():
            return CreateNetworkAction(action, context)
        case ConnectNetwork():
            return ConnectNetworkAction(action, context)
        case RewireHaproxy():
            return RewireHaproxyAction(action, context)
        case WriteComposeOverride():
            return ComposeOverrideAction(action, context)
        case SizeConntrack():
            return ConntrackSizeAction(action, context)
        case SetWatcher():
            return WatcherAction(action, context)


def _of_firewall(action: WriteRules | RemoveRules | ForgetFlows, context: ActionContext) -> Executor:
    match action:
        case WriteRules():
            return WriteRulesAction(action, context)
        case RemoveRules():
            return RemoveRulesAction(action, context)
        case ForgetFlows():
            return ForgetFlowsAction(action, context)
