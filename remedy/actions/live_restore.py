"""HoldLiveRestore and ReleaseLiveRestore: the bracket around a restart that containers live through."""

from __future__ import annotations

from remedy.actions.context import ActionContext
from remedy.actions.daemon_json import directories_to_make, has_content, put_content, remove_directories
from remedy.actions.engine import Engine
from remedy.errors import EngineError
from remedy.plan.actions import FileContent, HoldLiveRestore, ReleaseLiveRestore


def hold(engine: Engine, content: FileContent) -> None:
    """Write `content` (live-restore true) and make it effective. Raises EngineError, OSError."""
    put_content(content)
    if not engine.live_restore():
        engine.reload(live_restore=True)


def release(engine: Engine, through: FileContent, final: FileContent, *, held: FileContent, effective: bool) -> None:
    """Put live-restore back to `effective`, and daemon.json to `final`.

    Deleting the key leaves it on (seen on 28.5): an explicit false and a SIGHUP come first, `docker info` proves
    it, then the final bytes are written without another SIGHUP. held: daemon.json with live-restore true.
    Raises EngineError, OSError.
    """
    if engine.live_restore() and not effective:
        _switch_off(engine, through, held)
    put_content(final)


def _switch_off(engine: Engine, through: FileContent, held: FileContent) -> None:
    """Make false effective. Raises EngineError, OSError; then daemon.json says true again.

    An engine that died while the file said false would stop every container when systemd starts it again, two seconds
    later in Docker's own unit (RestartSec=2; seen on 28.5): so the file does not go on saying so.
    """
    if engine.main_pid() is None:
        raise EngineError("the engine's process is not known to systemd", where=engine.unit)
    try:
        put_content(through)
        engine.reload(live_restore=False)
    except BaseException:
        put_content(held)
        raise


class HoldLiveRestoreAction:
    """On before the restart; undone to exactly what was effective and written before."""

    def __init__(self, action: HoldLiveRestore, context: ActionContext) -> None:
        self._action = action
        self._engine = context.engine

    def undo_data(self) -> dict[str, object]:
        """The directories that are made for daemon.json; the plan has the original bytes."""
        return directories_to_make(self._action.path)

    def is_applied(self) -> bool:
        """It is on."""
        return self._engine.live_restore()

    def apply(self) -> None:
        """Raises EngineError, OSError."""
        hold(self._engine, self._action.content)

    def revert(self, undo: dict[str, object]) -> None:
        """Raises EngineError, OSError."""
        action = self._action
        release(
            self._engine,
            action.release_content,
            action.original,
            held=action.content,
            effective=action.effective_before,
        )
        if action.original.raw is None:
            remove_directories(undo)


class ReleaseLiveRestoreAction:
    """The mirror of the hold."""

    def __init__(self, action: ReleaseLiveRestore, context: ActionContext) -> None:
        self._action = action
        self._engine = context.engine

    def undo_data(self) -> dict[str, object]:
        """Nothing: the plan has all bytes."""
        return {}

    def is_applied(self) -> bool:
        """It is what it shall be, and so is daemon.json."""
        return self._engine.live_restore() is self._action.effective_after and has_content(self._action.final)

    def apply(self) -> None:
        """Raises EngineError, OSError."""
        action = self._action
        release(
            self._engine,
            action.release_content,
            action.final,
            held=action.hold_content,
            effective=action.effective_after,
        )

    def revert(self, _undo: dict[str, object]) -> None:
        """Raises EngineError, OSError."""
        hold(self._engine, self._action.hold_content)
