"""The metrics themselves: names, what they mean, and their values of this moment. prometheus_client makes the text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client.core import CollectorRegistry, CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from remedy import __version__
from remedy.facts.conntrack import STATISTICS, parse_losses
from remedy.watch.metrics.meter import Activity, Counted, Meter

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
WAYS = ("docker-proxy", "dnat", "direct", "local", "none", "unknown")  # Via of remedy.paths.verdict
CONNTRACK = Path("/proc/sys/net/netfilter")


class WatchCollector(Collector):
    """Makes the values when they are asked for: from the meter, and by two short reads of /proc."""

    def __init__(self, meter: Meter, conntrack: Path = CONNTRACK, statistics: Path = STATISTICS) -> None:
        self._meter = meter
        self._conntrack = conntrack
        self._statistics = statistics

    def describe(self) -> Iterator[Metric]:
        """Nothing is collected to learn the names."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All of them; what is not known is left out, and no 0 stands for it."""
        yield _labelled("remedy_build_info", "The version of remedy that watches", "version", {__version__: 1})
        yield from _activity(self._meter.activity, self._meter.errors)
        if self._meter.counted is not None:
            yield from _counted(self._meter.counted)
        yield from self._table()

    def _table(self) -> Iterator[Metric]:
        entries = _number(self._conntrack / "nf_conntrack_count")
        limit = _number(self._conntrack / "nf_conntrack_max")
        if entries is not None:
            yield GaugeMetricFamily("remedy_conntrack_entries", "Connections in the conntrack table now", entries)
        if limit is not None:
            yield GaugeMetricFamily("remedy_conntrack_entries_limit", "Connections that it may hold", limit)
        losses = _losses(self._statistics)
        if losses:
            family = CounterMetricFamily(
                "remedy_conntrack_losses",
                "Connections that conntrack refused (drop), threw out for others (early_drop) or could not enter twice"
                " (insert_failed)",
                labels=["reason"],
            )
            for reason, count in losses.items():
                family.add_metric([reason], count)
            yield family


def make_registry(meter: Meter) -> CollectorRegistry:
    """Of our own: what else is registered in the process is nobody's business."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(WatchCollector(meter))
    ProcessCollector(registry=registry)
    return registry


def make_text(registry: CollectorRegistry) -> bytes:
    """The text for Prometheus."""
    return generate_latest(registry)


def _activity(now: Activity, errors: int) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "remedy_watch_transactions", "Changes that the watcher has written since it was started", now.transactions
    )
    yield CounterMetricFamily(
        "remedy_watch_errors", "What went wrong since it was started; each is tried again", errors
    )
    yield CounterMetricFamily("remedy_watch_syncs", "Looks at the whole host after which all was right", now.syncs)
    if now.last_sync is not None and now.last_sync_seconds is not None:
        yield GaugeMetricFamily(
            "remedy_watch_last_sync_timestamp_seconds", "When the last of them ended, since 1970", now.last_sync
        )
        yield GaugeMetricFamily(
            "remedy_watch_last_sync_duration_seconds", "How long the last of them took", now.last_sync_seconds
        )
    yield GaugeMetricFamily(
        "remedy_watch_engine_connected", "1 while the engine tells its events", int(now.engine_connected)
    )
    yield GaugeMetricFamily(
        "remedy_watch_waiting",
        "1 while a run is at work, pending or interrupted: nothing is followed",
        int(now.standing.waiting),
    )
    yield GaugeMetricFamily("remedy_runs_applied", "Runs of remedy apply that are on the host", now.standing.runs)
    yield GaugeMetricFamily("remedy_redirects", "Published ports that remedy's own rules serve", now.standing.redirects)
    yield GaugeMetricFamily(
        "remedy_untracked_pairs",
        "Pairs whose connections remedy's rules keep from conntrack",
        now.standing.untracked_pairs,
    )


def _counted(counted: Counted) -> Iterator[Metric]:
    yield _labelled(
        "remedy_paths",
        "Known ways of connections (clients of published ports, haproxy's servers) by how the packet walk says they go",
        "via",
        {**dict.fromkeys(WAYS, 0), **counted.paths},  # a way that nobody takes is a 0, which an alert can wait for
    )
    yield GaugeMetricFamily("remedy_drift", "What is not as remedy left it, as in remedy status", counted.drift)
    yield GaugeMetricFamily("remedy_docker_proxies", "Processes of docker-proxy", counted.docker_proxies)
    yield GaugeMetricFamily(
        "remedy_counted_timestamp_seconds", "When paths, drift and docker-proxies were counted, since 1970", counted.at
    )


def _labelled(name: str, meaning: str, label: str, values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=[label])
    for value, count in sorted(values.items()):
        family.add_metric([value], count)
    return family


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _losses(path: Path) -> dict[str, int]:
    try:
        found = parse_losses(path.read_text())
    except (OSError, ValueError):
        return {}
    return {} if found is None else found.model_dump()
