"""SetSysctls: write values, and put back what was there."""

from __future__ import annotations

from remedy.actions.context import ActionContext
from remedy.actions.translated_flows import Ending, end_flows
from remedy.host.sysctls import path_of, read_sysctl, write_sysctl
from remedy.plan.actions import SetSysctls


class SysctlsAction:
    """Write `values`; undone by `previous`. An interface that is gone took its sysctl along."""

    def __init__(self, action: SetSysctls, context: ActionContext) -> None:
        self._action = action
        self._context = context

    def undo_data(self) -> dict[str, object]:
        """Nothing: the plan has the previous values."""
        return {}

    def is_applied(self) -> bool:
        """Every sysctl that exists has its value."""
        return all(read_sysctl(name) in (value, None) for name, value in self._action.values.items())

    def apply(self) -> None:
        """Raises OSError."""
        restore_sysctls(self._action.values)

    def revert(self, _undo: dict[str, object]) -> None:
        """Connections from loopback that would hang without route_localnet are ended first. Raises OSError."""
        if any(_takes_loopback_away(name, value) for name, value in self._action.previous.items()):
            end_flows(self._context, Ending.from_loopback)
        restore_sysctls(self._action.previous)


def _takes_loopback_away(name: str, value: str) -> bool:
    return path_of(name).name == "route_localnet" and value == "0" and read_sysctl(name) not in ("0", None)


def restore_sysctls(values: dict[str, str]) -> None:
    """Write each value that differs, of sysctls that (still) exist."""
    for name, value in values.items():
        if read_sysctl(name) not in (value, None):
            write_sysctl(name, value)
