"""Metrics on: the one place that imports prometheus_client, and starts what counts and what answers."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from remedy.apply.settings import Settings
from remedy.watch.metrics.address import MetricsAddress
from remedy.watch.metrics.collector import CONTENT_TYPE, make_registry, make_text
from remedy.watch.metrics.counting import count_now_and_then
from remedy.watch.metrics.meter import Meter
from remedy.watch.metrics.server import MetricsServer, Warn


def offer_metrics(
    address: MetricsAddress, meter: Meter, settings: Settings, spec_path: Path, warn: Warn
) -> MetricsServer:
    """Offer what the meter shows from now on."""
    server = MetricsServer(address, partial(make_text, make_registry(meter)), CONTENT_TYPE, warn)
    server.start()
    count_now_and_then(meter, settings, spec_path)
    return server
