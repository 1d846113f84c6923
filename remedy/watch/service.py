"""The watcher as a process: its signals become messages."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType

from remedy.apply.settings import Settings
from remedy.watch.inbox import Inbox, ReloadSpec, Stop
from remedy.watch.loop import Tell, Watch


def watch_until_stopped(settings: Settings, spec_path: Path, tell: Tell) -> None:
    """Watch until SIGTERM or SIGINT. Raises RemedyError (a wrong spec) before anything is done."""
    watch = Watch(settings, spec_path, tell)
    _heed_signals(watch.inbox)
    watch.run()


def _heed_signals(inbox: Inbox) -> None:
    def stop(number: int, _frame: FrameType | None) -> None:
        inbox.put(Stop(signal.Signals(number).name))

    def reload(_number: int, _frame: FrameType | None) -> None:
        inbox.put(ReloadSpec())

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, reload)
