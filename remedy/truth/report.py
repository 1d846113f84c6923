"""What `make truth` prints: a line per host, then every connection that the model got wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from remedy.truth.compare import Cell
from remedy.truth.run import Result


def host_line(result: Result) -> str:
    """One host's figures and what is special about it."""
    reached = sum(cell.seen.ok for cell in result.cells)
    return (
        f"{result.scenario.kind!s:22} {len(result.cells):5} cells {reached:5} reached "
        f"{len(result.wrong):4} wrong {len(result.unknown):4} unknown   {', '.join(result.scenario.features)}"
    )


def cell_lines(cell: Cell) -> Iterator[str]:
    """One connection: who, whither, what the model says step by step, and what happened."""
    question, verdict, seen = cell.question, cell.verdict, cell.seen
    client = f"{question.source}" + (f" ({question.client})" if question.client else "")
    yield f"  {client} -> {question.to}   bridge-nf {cell.bridge_nf}"
    yield from (f"    {difference}" for difference in cell.differences)
    if verdict.unknown_because:
        yield f"    unknown: {verdict.unknown_because}"
    told = f"ok, by {seen.by}, source {seen.source}" if seen.ok else f"{seen.failure} ({seen.error})"
    yield f"    in truth: {told}, docker-proxy {cell.by_proxy}, entries {cell.entries}"
    for title, steps in (("there", verdict.steps), ("back", verdict.back)):
        yield from (f"    {title}: {step.where}: {step.what}   [{step.why}]" for step in steps)


def wrong_lines(result: Result) -> Iterator[str]:
    """Everything that is wrong or unknown on one host."""
    cells = (*result.wrong, *result.unknown)
    if cells:
        yield f"{result.scenario.kind} seed {result.scenario.seed}:"
    for cell in cells:
        yield from cell_lines(cell)


def last_line(results: Sequence[Result], seed: int) -> str:
    """The sum."""
    cells = sum(len(result.cells) for result in results)
    wrong = sum(len(result.wrong) for result in results)
    unknown = sum(len(result.unknown) for result in results)
    return f"seed {seed}: {len(results)} hosts, {cells} cells, {wrong} wrong, {unknown} unknown"
