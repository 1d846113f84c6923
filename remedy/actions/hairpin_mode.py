"""SetHairpinMode: the bridge ports' hairpin_mode by sysfs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from remedy.actions.context import ActionContext
from remedy.plan.actions import SetHairpinMode

SYS_CLASS_NET = Path("/sys/class/net")


class HairpinModeAction:
    """Switch it on for the plan's ports; undo what the ports had, and what the engine gave to newer ports."""

    def __init__(self, action: SetHairpinMode, context: ActionContext) -> None:
        self._action = action
        self._context = context

    def undo_data(self) -> dict[str, object]:
        """Nothing: the plan has the previous modes."""
        return {}

    def is_applied(self) -> bool:
        """Every port that still exists has it on."""
        return all(read_mode(port.interface) in (True, None) for port in self._action.ports)

    def apply(self) -> None:
        """Raises OSError."""
        for port in self._action.ports:
            write_mode(port.interface, True)

    def revert(self, _undo: dict[str, object]) -> None:
        """Connections of containers to themselves, which would hang, are ended first.

        A port that came since the plan (a container made again) gets what the engine would have given it.
        """
        modes = dict(self._modes_before())
        if any(read_mode(interface) and not mode for interface, mode in modes.items()):
            # The watcher switches it on only, and does without all that ends connections.
            from remedy.actions.translated_flows import Ending, end_flows

            end_flows(self._context, Ending.to_itself)
        for interface, mode in modes.items():
            write_mode(interface, mode)

    def _modes_before(self) -> Iterator[tuple[str, bool]]:
        previous = {port.interface: port.previous for port in self._action.ports}
        for bridge in self._action.bridges:
            for interface in _ports_of(bridge):
                if interface in previous:
                    yield interface, previous[interface]
                elif self._action.userland_proxy_after_undo:
                    yield interface, False


def switch_on_everywhere(bridges: Iterable[str]) -> None:
    """Switch it on for every port of these bridges, as an engine without the proxy does for new ones. Raises OSError.

    A container that was started again before the engine's restart got its port from an engine with the proxy.
    """
    for bridge in bridges:
        for interface in _ports_of(bridge):
            write_mode(interface, True)


def read_mode(interface: str) -> bool | None:
    """The port's hairpin_mode; None when it is gone (its container stopped)."""
    try:
        return _path(interface).read_text().strip() == "1"
    except OSError:
        return None


def write_mode(interface: str, on: bool) -> None:
    """Write hairpin_mode unless it is so already or the port is gone. Raises OSError."""
    if read_mode(interface) in (on, None):
        return
    try:
        _path(interface).write_text("1" if on else "0")
    except FileNotFoundError:
        return  # the container stopped between the look and the write


def _path(interface: str) -> Path:
    return SYS_CLASS_NET / interface / "brport" / "hairpin_mode"


def _ports_of(bridge: str) -> Iterator[str]:
    try:
        yield from sorted(path.name for path in (SYS_CLASS_NET / bridge / "brif").iterdir())
    except FileNotFoundError:
        return
