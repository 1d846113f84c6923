"""The table of the loss benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from remedy.bench.load_model import UNANSWERED_SECONDS, VantageResult
from remedy.bench.loss import CaseResult

MOST_INCIDENTS = 5


def loss_table(results: Sequence[CaseResult]) -> Table:
    """One row for each vantage point of each change. What breaks the promise is red."""
    table = Table(
        title="New connections every 4 ms from each place, while remedy changes the host", title_justify="left"
    )
    for name in ("engine", "firewall", "containers", "change", "from -> to"):
        table.add_column(name, no_wrap=True)
    unanswered = f"> {UNANSWERED_SECONDS * 1000:.0f} ms"
    for name in ("connections", "refused", "broken", unanswered, "longest ms", "keep-alive", "generator's lag ms"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        table.add_section()
        for number, vantage in enumerate(result.load.vantages):
            table.add_row(*_case_cells(result) if number == 0 else [""] * 4, *_vantage_cells(vantage, result))
    return table


def incident_lines(results: Sequence[CaseResult]) -> list[str]:
    """What exactly went wrong where, the first few of each place, to be laid beside the engine's journal."""
    return [
        f"{result.engine} {result.firewall} {result.containers} {result.direction}, {vantage.name}: {one.kind} "
        f"at {datetime.fromtimestamp(one.at, UTC):%H:%M:%S.%f}, {one.milliseconds} ms, "
        f"{one.retransmits} segments sent again {one.detail}".rstrip()
        for result in results
        for vantage in result.load.vantages
        for one in vantage.incidents[:MOST_INCIDENTS]
        if one.kind != "keep-alive closed"
    ]


def verdict(results: Sequence[CaseResult]) -> str:
    """The table in one sentence."""
    connections = sum(vantage.connections for result in results for vantage in result.load.vantages)
    lost = sum(result.lost for result in results)
    clean = sum(result.is_clean for result in results)
    return f"{connections} connections in {len(results)} changes: {lost} lost; {clean} changes clean"


def _case_cells(result: CaseResult) -> list[str]:
    containers = str(result.containers) + ("" if result.ip_forward else ", forward off")
    return [result.engine, result.firewall, containers, f"{result.direction}, {result.seconds:.1f} s"]


def _vantage_cells(vantage: VantageResult, result: CaseResult) -> list[str | Text]:
    return [
        vantage.name,
        str(vantage.connections),
        _count(vantage.refused),
        _count(vantage.reset + vantage.failed),
        _count(vantage.unanswered),
        f"{vantage.longest_ms:.0f}",
        _keep_alive(vantage),
        f"{result.load.worst_lag_ms:.0f}",
    ]


def _count(number: int) -> Text:
    return Text(str(number), style="bold red" if number else "")


def _keep_alive(vantage: VantageResult) -> Text:
    if vantage.keep_alive_failures:
        return Text(f"{vantage.keep_alive_failures} broken", style="bold red")
    closes = vantage.keep_alive_closes
    return Text(f"{closes} closed", style="red") if closes > 1 else Text(f"{closes} closed" if closes else "held")
