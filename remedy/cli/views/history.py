"""The runs on this host."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.console import Console

from remedy.cli.views.layout import Cell, Page, moment, seconds

MAX_WHAT = 70  # --format json has all of it
_STYLES = {
    "applied": "green",
    "nothing": "dim",
    "pending": "yellow",
    "running": "yellow",
    "rollback-incomplete": "bold red",
    "failed": "red",
}


def show(console: Console, history: dict[str, Any]) -> None:
    """Write a HistoryReport."""
    page = Page(console)
    if not history["runs"]:
        page.line("No runs yet.")
        return
    heads: list[Cell] = [(head, "dim") for head in ("run", "started", "took", "command", "result", "what")]
    page.columns([heads, *map(_row, history["runs"])], indent=0)


def _row(run: dict[str, Any]) -> list[Cell]:
    result = run["result"]
    what = run["summary"]
    if run["rolled_back_by"]:
        what = f"undone by {run['rolled_back_by']}: {what}"
    return [
        run["run"],
        moment(run["started"]),
        seconds(_took(run)),
        run["command"],
        (result, _STYLES.get(result, "")),
        what if len(what) <= MAX_WHAT else f"{what[:MAX_WHAT]}...",
    ]


def _took(run: dict[str, Any]) -> float | None:
    if run["ended"] is None:
        return None
    return (datetime.fromisoformat(run["ended"]) - datetime.fromisoformat(run["started"])).total_seconds()
