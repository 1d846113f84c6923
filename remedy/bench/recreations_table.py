"""The table of the recreations benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from remedy.bench.recreation_judge import PROMISED_SECONDS, Late, Loss
from remedy.bench.recreations import RecreationsResult

MOST_LOSSES = 10


def recreations_table(results: Sequence[RecreationsResult]) -> Table:
    """One row a host. What breaks the promise is red."""
    table = Table(title="Containers made again under load, with the watcher at work", title_justify="left")
    for name in ("engine", "firewall", "remedies", "made again"):
        table.add_column(name, no_wrap=True)
    for name in (
        "rules right: median ms",
        "p95",
        "longest",
        "led to another ms",
        "requests",
        "wrong answers",
        "lost while up",
        "lost while made again",
        "fresh plan",
    ):
        table.add_column(name, justify="right")
    for result in results:
        judged = result.judged
        never = sum(one.right_ms is None for one in judged.late)
        worst = f"{never} never" if never else f"{judged.right_worst_ms:.0f}"
        table.add_row(
            result.engine,
            result.firewall,
            ", ".join(result.remedies),
            f"{judged.recreations} in {result.seconds:.0f} s",
            f"{judged.right_median_ms:.0f}",
            f"{judged.right_p95_ms:.0f}",
            _marked(worst, bool(judged.late)),
            f"{judged.mistaken_ms:.0f}",
            str(judged.requests),
            _marked(str(len(judged.wrong)), bool(judged.wrong)),
            _marked(str(len(judged.lost_while_up)), bool(judged.lost_while_up)),
            str(judged.lost_to_stopped),
            _marked("empty" if result.plan_is_empty else "differs", not result.plan_is_empty),
        )
    return table


def loss_lines(results: Sequence[RecreationsResult]) -> list[str]:
    """What should not have been, the first few of each kind, to be laid beside the watcher's journal."""
    return [*_late_lines(results), *_loss_lines(results)]


def _late_lines(results: Sequence[RecreationsResult]) -> list[str]:
    return [
        f"{result.engine} {result.firewall}, {_told_late(one)}"
        for result in results
        for one in result.judged.late[:MOST_LOSSES]
    ]


def _loss_lines(results: Sequence[RecreationsResult]) -> list[str]:
    return [
        line
        for result in results
        for losses in (result.judged.wrong, result.judged.lost_while_up)
        for line in (f"{result.engine} {result.firewall}, {_told(loss)}" for loss in losses[:MOST_LOSSES])
    ]


def recreations_verdict(results: Sequence[RecreationsResult]) -> str:
    """The table in one sentence."""
    kept = sum(result.keeps_promise for result in results)
    return (
        f"{kept} of {len(results)} hosts: nobody answered in another's place, nothing was lost to a container that was "
        f"there, and rules were right within {PROMISED_SECONDS:.0f} s of each start event"
    )


def _told_late(one: Late) -> str:
    lived = "until the end" if one.lived_seconds is None else f"{one.lived_seconds:.1f} s"
    right = "never" if one.right_ms is None else f"after {one.right_ms:.0f} ms"
    return f"{one.name} at {one.address}: started at {_clock(one.started)}, lived {lived}, led to {right}"


def _told(loss: Loss) -> str:
    one = loss.incident
    return (
        f"{loss.who}: {one.kind} at {_clock(one.at)}, {one.milliseconds} ms, "
        f"{one.retransmits} segments sent again, {one.detail}"
    )


def _clock(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%H:%M:%S.%f}"


def _marked(text: str, broken: bool) -> Text:
    return Text(text, style="bold red" if broken else "")
