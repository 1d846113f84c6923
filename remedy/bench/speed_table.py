"""The table of the speed benchmark."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from remedy.bench.speed import PROMISED_HELP_SECONDS, PROMISED_PLAN_SECONDS, Part, SpeedResult

# Of `remedy plan`, in the order of time; together they are the whole command.
PARTS: tuple[tuple[str, Part], ...] = (
    ("interpreter: python -c pass", lambda one: one.interpreter),
    ("imports", lambda one: one.stages.imports),
    ("read remedy.yaml", lambda one: one.stages.spec),
    ("gather facts", lambda one: one.stages.gather),
    ("plan", lambda one: one.stages.planning),
    ("render", lambda one: one.stages.render),
    ("the rest: command line, end", lambda one: one.rest),
)


def speed_table(result: SpeedResult) -> Table:
    """What is promised, and the parts of a plan. What breaks the promise is red."""
    samples = result.samples
    table = Table(
        title=f"Milliseconds, {result.engine} {result.firewall}, {result.containers} containers, "
        f"{len(samples.rounds)} rounds",
        title_justify="left",
    )
    table.add_column("what", no_wrap=True)
    for name in ("median", "slowest", "promised"):
        table.add_column(name, justify="right", no_wrap=True)
    _add(table, result, "remedy --help", lambda one: one.help, PROMISED_HELP_SECONDS)
    table.add_section()
    _add(table, result, "remedy plan", lambda one: one.plan)
    for name, part in PARTS:
        _add(table, result, f"  {name}", part)
    table.add_section()
    reads = f"raw reads: {samples.requests} requests to the engine, {samples.programs} programs"
    _add(table, result, reads, lambda one: one.raw_reads)
    _add(table, result, "remedy plan beyond the raw reads", lambda one: one.beyond_reads, PROMISED_PLAN_SECONDS)
    return table


def speed_verdict(result: SpeedResult) -> str:
    """The table in one sentence."""
    shown = f"{milliseconds(result.median(lambda one: one.help))} ms"
    planned = f"{milliseconds(result.median(lambda one: one.beyond_reads))} ms"
    kept = "kept" if result.keeps_promise else "BROKEN"
    return f"remedy --help in {shown}, remedy plan in {planned} beyond the raw reads: promise {kept}"


def milliseconds(seconds: float) -> str:
    """A time as the table shows it."""
    return f"{seconds * 1000:.0f}"


def _add(table: Table, result: SpeedResult, name: str, part: Part, promised: float | None = None) -> None:
    middle = result.median(part)
    style = "bold red" if promised is not None and middle > promised else ""
    limit = "" if promised is None else milliseconds(promised)
    table.add_row(name, Text(milliseconds(middle), style=style), milliseconds(result.slowest(part)), limit)
