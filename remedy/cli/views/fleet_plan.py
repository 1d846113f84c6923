"""The plans of many hosts: a row for each host, each different plan once, and what is wrong with whom."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from remedy.cli.views.layout import Cell, Page, count
from remedy.cli.views.plan import summary

MAX_NAMES = 12  # the table has them all
_RESULTS = {
    "changes": ("changes", "yellow"),
    "unchanged": ("as it should be", "green"),
    "refused": ("refused", "bold red"),
    "failed": ("no plan", "bold red"),
}


def show(console: Console, fleet: dict[str, Any]) -> None:
    """Write a FleetPlan."""
    page = Page(console)
    heads: list[Cell] = [(head, "dim") for head in ("host", "engine", "firewall", "docker-proxy", "result", "plan")]
    page.columns([heads, *map(_row, fleet["hosts"])], indent=0)
    for group in fleet["groups"]:
        page.blank()
        _show_group(page, group)
    show_failures(page, fleet["hosts"])
    page.blank()
    page.line((_summary(fleet["counts"]), "bold"))


def _row(host: dict[str, Any]) -> list[Cell]:
    seen, group = host["host"], host["group"]
    told = ["", "", ""]
    if seen is not None:
        told = [seen["engine_version"], seen["firewall_backend"], str(seen["docker_proxy_processes"])]
    return [host["name"], *told, _RESULTS[host["result"]], "" if group is None else str(group)]


def _show_group(page: Page, group: dict[str, Any]) -> None:
    page.line((f"Plan {group['group']}, {count(len(group['hosts']), 'host')}: ", "bold"), names(group["hosts"]))
    for refusal in group["refusals"]:
        page.line(("refused: ", "bold red"), refusal["what"], indent=2)
        page.field("why", refusal["why"], indent=4)
        page.field("cure", refusal["cure"], indent=4)
    for action in group["actions"]:
        page.line(action["summary"], indent=2)
    for warning in group["warnings"]:
        page.line(("warning: ", "yellow"), warning["what"], indent=2)
    if group["actions"]:
        page.line((summary(group), "dim"), indent=2)
    elif not group["refusals"]:
        page.line(("nothing to do", "green"), indent=2)


def names(hosts: list[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(hosts) - MAX_NAMES} more" if len(hosts) > MAX_NAMES else ""
    return ", ".join(hosts[:MAX_NAMES]) + more


def show_failures(page: Page, hosts: list[dict[str, Any]]) -> None:
    """Write why there is no answer of some hosts: each different reason once."""
    reasons: dict[tuple[str, ...], list[str]] = {}
    for host in hosts:
        if host["error"] is not None:
            reason = tuple(host["error"].get(key) or "" for key in ("what", "where", "why", "next"))
            reasons.setdefault(reason, []).append(host["name"])
    for (what, *rest), failed in reasons.items():
        page.blank()
        page.line((f"{names(failed)}: ", "bold"), (what, "red"))
        for label, text in zip(("where", "why", "next"), rest, strict=True):
            page.field(label, text, indent=2)


def _summary(counts: dict[str, int]) -> str:
    parts = [
        f"{counts['changes']} with changes",
        f"{counts['unchanged']} as they should be" if counts["unchanged"] != 1 else "1 as it should be",
        f"{counts['refused']} refused",
        f"{counts['failed']} without a plan",
    ]
    told = ", ".join(part for part in parts if not part.startswith("0 "))
    return f"{count(counts['hosts'], 'host')}: {told}."
