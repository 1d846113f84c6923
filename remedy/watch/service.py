"""The watcher as a process: its signals become messages."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType

from remedy.apply.settings import Settings
from remedy.watch.inbox import Inbox, ReloadSpec, Stop
from remedy.watch.loop import Tell, Watch
from remedy.watch.metrics.address import MetricsAddress
from remedy.watch.metrics.meter import Meter


def watch_until_stopped(settings: Settings, spec_path: Path, tell: Tell, metrics: MetricsAddress | None = None) -> None:
    """Watch until SIGTERM or SIGINT. Raises RemedyError (a wrong spec) before anything is done."""
    meter = None if metrics is None else Meter()
    watch = Watch(settings, spec_path, tell, meter)
    _heed_signals(watch.inbox)
    if metrics is None or meter is None:
        watch.run()
        return
    from remedy.watch.metrics.offered import offer_metrics

    server = offer_metrics(metrics, meter, settings, spec_path, watch.warn)
    try:
        watch.run()
    finally:
        server.close()


def _heed_signals(inbox: Inbox) -> None:
    def stop(number: int, _frame: FrameType | None) -> None:
        inbox.put(Stop(signal.Signals(number).name))

    def reload(_number: int, _frame: FrameType | None) -> None:
        inbox.put(ReloadSpec())

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, reload)
