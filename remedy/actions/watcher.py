"""SetWatcher: the watcher's service, installed or removed, and back."""

from __future__ import annotations

from pathlib import Path

from remedy.actions.context import ActionContext
from remedy.apply.settings import Settings
from remedy.errors import InputError
from remedy.host.units import is_active, unit_path
from remedy.plan.actions import SetWatcher
from remedy.watch.unit import UNIT, check_is_seen, install_watcher, options_of, restore_watcher, uninstall_watcher


def spec_of(action: SetWatcher) -> Path:
    """The remedy.yaml that the service is to go by. Raises InputError (it is not there), RefusedError (unseen)."""
    path = Path(action.spec_path or "")
    if not path.is_file():
        raise InputError(
            "the watcher would have no remedy.yaml to go by",
            where=str(path),
            why="there is no such file on this host",
            next_step="put it there, or name another: remedy -c FILE apply",
        )
    check_is_seen(path)
    return path


class WatcherAction:
    """Undone by the service's file that was there before, or by removing it."""

    def __init__(self, action: SetWatcher, context: ActionContext) -> None:
        self._action = action
        self._context = context

    def undo_data(self) -> dict[str, object]:
        """The text of the service's file (None: there was none), and whether it ran."""
        return {"unit": _text(), "active": is_active(UNIT)}

    def is_applied(self) -> bool:
        """It runs, or there is none, as the plan says."""
        return is_active(UNIT) if self._action.installed else not unit_path(UNIT).exists()

    def apply(self) -> None:
        """Raises InputError (no remedy.yaml there), RefusedError, CommandError, OSError."""
        if not self._action.installed:
            uninstall_watcher()
            return
        install_watcher(self._settings(), spec_of(self._action), options_of(_text()))

    def revert(self, undo: dict[str, object]) -> None:
        """Raises CommandError, OSError."""
        text = undo.get("unit")
        if isinstance(text, str):
            restore_watcher(text, start=undo.get("active") is True)
        else:
            uninstall_watcher()

    def _settings(self) -> Settings:
        context = self._context
        return Settings(context.state_dir, context.engine.socket, daemon_json_path=self._action.daemon_json_path)


def _text() -> str | None:
    try:
        return unit_path(UNIT).read_text()
    except FileNotFoundError:
        return None
