"""Probed connections as a person reads them."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from remedy.cli.views import untracked
from remedy.cli.views.layout import Cell, Page, count
from remedy.cli.views.tracking import show_tracked_in_short

_WORDS = {True: ("works", "green"), False: ("fails", "bold red"), None: ("not tried", "dim")}


def show(console: Console, described: dict[str, Any]) -> None:
    """Write what `remedy verify` tried."""
    page = Page(console)
    probes = described["probes"]
    if not probes:
        page.line("No probes: remedy.yaml names none, and remedy found no consumer of a published port.")
    else:
        _show_probes(page, probes)
    if described.get("conntrack") is not None:
        page.blank()
        show_tracked_in_short(page, described["conntrack"])
    untracked.show(page, described.get("untracked", []), described.get("own_tables", []))


def _show_probes(page: Page, probes: list[dict[str, Any]]) -> None:
    page.columns([row(probe) for probe in probes])
    failed = sum(_latest(probe) is False for probe in probes)
    page.blank()
    if failed:
        page.line((f"{failed} of {count(len(probes), 'connection')} failed.", "bold red"))
    else:
        page.line((f"All {count(len(probes), 'connection')} work.", "bold green"))


def row(probe: dict[str, Any]) -> list[Cell]:
    """Return the columns of one probe: from, to, how it went, what was seen."""
    target = probe["to"] if probe["http"] is None else f"{probe['to']} GET {probe['http']}"
    before, after = probe["before"], probe["after"]
    if before is None or after is None or before == after:
        outcome: Cell = _WORDS[_latest(probe)]
    else:
        outcome = (f"{_WORDS[before][0]} → {_WORDS[after][0]}", _WORDS[after][1])
    detail = probe["before_detail"] if after is None else probe["after_detail"]
    took = probe["milliseconds_before"] if after is None else probe["milliseconds_after"]
    shown = ", ".join(part for part in (f"{took:.1f} ms" if took is not None else "", detail) if part)
    return [probe["from"], "→", target, outcome, (shown, "dim")]


def _latest(probe: dict[str, Any]) -> bool | None:
    latest: bool | None = probe["before"] if probe["after"] is None else probe["after"]
    return latest
