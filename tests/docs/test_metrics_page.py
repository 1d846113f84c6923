"""The page on metrics names each of them, with its kind, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from command_blocks import REPOSITORY
from prometheus_client.parser import text_string_to_metric_families

from remedy.watch.metrics.collector import WatchCollector, make_registry, make_text
from remedy.watch.metrics.meter import Counted, Meter

ROW = re.compile(r"^\| `(remedy_\w+?)(?:\{(\w+)\})?` \| (\w+) \|", re.MULTILINE)


def test_the_page_has_every_metric(tmp_path: Path) -> None:
    (tmp_path / "nf_conntrack_count").write_text("1\n")
    (tmp_path / "nf_conntrack_max").write_text("2\n")
    (tmp_path / "statistics").write_text("insert_failed drop early_drop\n0 0 0\n")
    meter = Meter()
    meter.synced(1.0)
    meter.count(Counted())
    registry = type(make_registry(meter))()
    registry.register(WatchCollector(meter, tmp_path, tmp_path / "statistics"))
    offered = {
        (sample.name, "".join(sample.labels), family.type)
        for family in text_string_to_metric_families(make_text(registry).decode())
        for sample in family.samples
    }
    page = (REPOSITORY / "docs/reference/metrics.md").read_text()
    assert set(ROW.findall(page)) == offered
