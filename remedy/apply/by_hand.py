"""The commands that undo an action by hand, for the operator whom exit code 4 leaves alone with the host."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator

from remedy.facts.model import FirewallBackend
from remedy.firewall.ruleset import Ruleset
from remedy.host.sysctls import path_of
from remedy.plan.model import (
    Action,
    FileContent,
    HoldLiveRestore,
    ReleaseLiveRestore,
    RemoveRules,
    SetHairpinMode,
    SetSysctls,
    SwitchUserlandProxy,
    WriteRules,
)


def commands_by_hand(action: Action) -> tuple[str, ...]:
    """Shell commands, one a line, that undo the action."""
    return tuple(_commands(action))


def _commands(action: Action) -> Iterator[str]:
    match action:
        case SetSysctls():
            for name, value in action.previous.items():
                yield f"echo {shlex.quote(value)} > {shlex.quote(str(path_of(name)))}"
        case SetHairpinMode():
            for port in action.ports:
                path = f"/sys/class/net/{port.interface}/brport/hairpin_mode"
                yield f"echo {int(port.previous)} > {shlex.quote(path)}"
        case WriteRules() | RemoveRules():
            yield from _remove_rules(action.ruleset, FirewallBackend(action.firewall_backend))
        case HoldLiveRestore():
            yield from _write(action.release_content)
            yield "systemctl reload docker && docker info -f '{{.LiveRestoreEnabled}}'   # false"
            yield from _write(action.original)
        case SwitchUserlandProxy():
            yield from _write(action.back_content)
            yield "systemctl reset-failed docker; systemctl restart docker"
        case ReleaseLiveRestore():
            return  # undoing the hold does all of it


def _write(content: FileContent) -> Iterator[str]:
    path = shlex.quote(content.path)
    if content.raw is None:
        yield f"rm -f {path}"
    else:
        encoded = base64.b64encode(content.raw).decode()
        yield f"echo {encoded} | base64 -d > {path}"


def _remove_rules(ruleset: Ruleset, backend: FirewallBackend) -> Iterator[str]:
    if backend is FirewallBackend.IPTABLES_LEGACY:
        for family in ("ip", "ip6"):
            yield (
                f"{family}tables-legacy-save | grep -v -- REMEDY- | {family}tables-legacy-restore"
                "   # drops only chains and rules of remedy"
            )
    else:
        for family in ("ip", "ip6"):
            yield f"nft delete table {family} remedy_{ruleset.name} 2>/dev/null; true"
        if ruleset.forward_guard:
            yield (
                "iptables -D FORWARD -j REMEDY-FORWARD; iptables -F REMEDY-FORWARD; iptables -X REMEDY-FORWARD"
                "   # and ip6tables likewise"
            )
