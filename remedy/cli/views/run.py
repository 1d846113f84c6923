"""How a run ended."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from remedy.cli.views.layout import Page, count, moment
from remedy.cli.views.probes import row

# result -> headline and its style; a rollback's own results read differently from apply's.
_HEADLINES = {
    "applied": ("Applied.", "bold green"),
    "nothing": ("Nothing to do.", "bold green"),
    "pending": ("Applied, and waiting for `remedy confirm`.", "bold yellow"),
    "rolled-back": ("Everything was put back.", "bold yellow"),
    "interrupted-rolled-back": ("Interrupted; everything was put back.", "bold yellow"),
    "rollback-incomplete": ("Not everything could be put back: you are needed.", "bold red"),
    "failed": ("Failed; nothing was changed.", "bold red"),
    "running": ("Still running.", "bold yellow"),
}


def show(console: Console, report: dict[str, Any]) -> None:
    """Write a RunReport."""
    page = Page(console)
    page.blank()
    headline, style = _HEADLINES[report["result"]]
    if report["command"] == "rollback" and report["result"] == "rolled-back":
        headline, style = "Undone: everything is as it was.", "bold green"
    if report["result"] == "applied" and not report["actions"]:
        headline = "Kept."  # confirm acts on nothing
    run = f" Run {report['run']}." if report["run"] else ""
    page.line((headline, style), run)
    if report["exit_code"]:
        page.field("why", report["message"], indent=2)
    _show_failed_actions(page, report["actions"])
    _show_probes(page, report["probes"])
    for warning in report["warnings"]:
        page.line(("Warning: ", "bold yellow"), warning)
    _show_leftover(page, report["leftover"])
    if report["deadline"]:
        page.line(f"Undone at {moment(report['deadline'])} unless you say: remedy confirm")
    if report["log"] and report["exit_code"]:
        page.field("log", report["log"], indent=2)


def _show_failed_actions(page: Page, actions: list[dict[str, Any]]) -> None:
    for action in actions:
        if action["error"]:
            page.line(("✗ ", "bold red"), action["summary"], indent=2)
            page.field("why", action["error"], indent=4)


def _show_probes(page: Page, probes: list[dict[str, Any]]) -> None:
    if not probes:
        return
    lost = [probe for probe in probes if probe["before"] is True and probe["after"] is False]
    never = [probe for probe in probes if probe["before"] is False and probe["after"] is not True]
    if lost:
        page.line((f"{count(len(lost), 'connection')} worked before and failed after the change:", "bold"))
        page.columns([row(probe) for probe in lost], indent=4)
    elif any(probe["after"] is not None for probe in probes):
        kept = sum(probe["before"] is True and probe["after"] is True for probe in probes)
        if kept:
            page.line(f"{count(kept, 'connection')} tried before and after: all work.")
    if never:
        page.line(f"{count(len(never), 'connection')} did not work before the change either:")
        page.columns([row(probe) for probe in never], indent=4)


def _show_leftover(page: Page, commands: list[str]) -> None:
    if not commands:
        return
    page.blank()
    page.line(("Finish by hand, as root, in this order:", "bold red"))
    for command in commands:
        page.line(command, indent=4)
