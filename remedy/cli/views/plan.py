"""The plan as a person reads it. Decides nothing: everything is in the JSON form already."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Console

from remedy.cli.views.details import details_of
from remedy.cli.views.filediff import FileHistory
from remedy.cli.views.layout import Page, count, seconds

MAX_PATHS = 40
_SYMBOLS = {
    "write_rules": ("+", "green"),
    "remove_rules": ("-", "red"),
    "create_network": ("+", "green"),
    "connect_network": ("+", "green"),
}
_COSTS = {
    "none": ("none", "green"),
    "reload": ("a reload, nothing is lost", "green"),
    "connections": ("connections are cut", "bold red"),
    "restart": ("the engine restarts", "bold yellow"),
}
_PATH_STYLES = {"none": "bold red", "unknown": "yellow", "docker-proxy": "yellow"}


def show(console: Console, plan: dict[str, Any]) -> None:
    """Write the plan."""
    page = Page(console)
    _show_host(page, plan["host"])
    if plan["actions"]:
        page.blank()
        page.line("remedy would do this, in this order:" if plan["refusals"] else "remedy will do this, in order:")
        files = FileHistory()
        for number, action in enumerate(plan["actions"], start=1):
            page.blank()
            _show_action(page, number, action, files)
    _show_paths(page, plan["paths"])
    _show_probes(page, plan)
    _show_warnings(page, plan["warnings"])
    _show_refusals(page, plan["refusals"])
    page.blank()
    _show_summary(page, plan)


def _show_host(page: Page, host: dict[str, Any]) -> None:
    proxy = {True: "userland proxy on", False: "userland proxy off", None: "userland proxy unknown"}
    facts = [
        f"Docker {host['engine_version']}",
        host["firewall_backend"],
        proxy[host["userland_proxy"]],
        count(host["containers"], "container"),
        count(host["docker_proxy_processes"], "docker-proxy process", "docker-proxy processes"),
    ]
    page.line((host["hostname"], "bold"), f": {', '.join(facts)}")


def _symbol(action: dict[str, Any]) -> tuple[str, str]:
    if action["disruption"]["level"] == "restart":
        return "↻", "bold yellow"
    if action["kind"] == "write_rules" and action.get("previous"):
        return "~", "yellow"
    return _SYMBOLS.get(action["kind"], ("~", "yellow"))


def _show_action(page: Page, number: int, action: dict[str, Any], files: FileHistory) -> None:
    symbol, style = _symbol(action)
    page.line((f"{number:>3} ", "dim"), (symbol, style), " ", (action["summary"], "bold"))
    page.field("why", action["reason"], indent=6)
    _show_change(page, action)
    page.field("sums", "\n".join(action.get("arithmetic", ())), indent=6)
    page.columns(details_of(action), indent=14)
    for line, line_style in files.changes(action):
        page.line((line, line_style), indent=14)
    _show_cost(page, action["disruption"])
    page.field("undo", action["inverse"], indent=6)


def _show_change(page: Page, action: dict[str, Any]) -> None:
    before, after = action["before"], action["after"]
    if "\n" not in before + after and len(before) + len(after) <= 70:
        page.field("change", f"{before} → {after}" if before or after else "", indent=6)
        return
    page.field("before", before, indent=6)
    page.field("after", after, indent=6)


def _show_cost(page: Page, disruption: dict[str, Any]) -> None:
    words, style = _COSTS[disruption["level"]]
    if disruption["seconds"] is not None:
        words += f", about {seconds(disruption['seconds'])}"
    if disruption["containers"]:
        words += f"; {', '.join(disruption['containers'])} stop"
    elif disruption["level"] == "restart":
        words += "; all containers live on"
    if disruption["what"]:
        words += f": {disruption['what']}"
    page.field("cost", words, indent=6, style=style)


def _show_paths(page: Page, paths: list[dict[str, Any]]) -> None:
    if not paths:
        return
    page.blank()
    changed = [path for path in paths if path["before"] != path["after"]]
    same = Counter(path["after"] for path in paths if path["before"] == path["after"])
    ways = ", ".join(f"{number} by {way}" for way, number in same.most_common())
    if not changed:
        page.line(f"{count(same.total(), 'known way')} to published ports, as before: {ways}.")
        return
    page.line("How connections travel, before and after:")
    page.columns([_path_row(path) for path in changed[:MAX_PATHS]], indent=4)
    if len(changed) > MAX_PATHS:
        page.line(f"... and {len(changed) - MAX_PATHS} more (--format json has them all)", indent=4)
    if same:
        page.line(f"{count(same.total(), 'other')} as before: {ways}.", indent=4)


def _path_row(path: dict[str, Any]) -> list[str | tuple[str, str]]:
    before, after = path["before"], path["after"]
    note = path["why"] if after in ("none", "unknown") else ""
    if not note and path["source_before"] != path["source_after"] and path["source_after"]:
        note = f"{path['container']} sees {path['source_before'] or '?'} → {path['source_after']}"
    after_style = _PATH_STYLES.get(after, "green" if before != after else "")
    return [path["from"], path["to"], (before, ""), "→", (after, after_style), (note, "dim")]


def _show_probes(page: Page, plan: dict[str, Any]) -> None:
    if not plan["actions"] or not plan["probes"]:
        return
    page.blank()
    tried = count(len(plan["probes"]), "connection")
    page.line(f"Apply tries {tried} before and after; if one that worked stops working, everything is put back.")
    if plan["confirm_within_seconds"]:
        page.line(f"It is undone unless `remedy confirm` comes within {seconds(plan['confirm_within_seconds'])}.")


def _show_warnings(page: Page, warnings: list[dict[str, Any]]) -> None:
    for warning in warnings:
        page.blank()
        page.line(("Warning: ", "bold yellow"), warning["what"])
        page.field("", warning["detail"])


def _show_refusals(page: Page, refusals: list[dict[str, Any]]) -> None:
    for refusal in refusals:
        page.blank()
        page.line(("Refused: ", "bold red"), (refusal["what"], "bold"))
        page.field("why", refusal["why"], indent=2)
        page.field("cure", refusal["cure"], indent=2)
        page.field("accept", refusal["accepted_by"] or "", indent=2, wrap=False)


def _show_summary(page: Page, plan: dict[str, Any]) -> None:
    if plan["refusals"]:
        reasons = count(len(plan["refusals"]), "reason")
        page.line((f"Refused for {reasons}: apply will not do this.", "bold red"))
    elif not plan["changes"]:
        page.line(("Nothing to do: the host is as remedy.yaml wants it.", "bold green"))
    if plan["actions"]:
        page.line(("Plan: ", "bold"), summary(plan))


def summary(plan: dict[str, Any]) -> str:
    """Return the closing line: what it takes and what it costs."""
    disruptions = [action["disruption"] for action in plan["actions"]]
    restarts = sum(disruption["level"] == "restart" for disruption in disruptions)
    stopping = {name for disruption in disruptions for name in disruption["containers"]}
    refused = sum(path["after"] == "none" != path["before"] for path in plan["paths"])
    times = {0: "engine does not restart", 1: "engine restarts once"}
    parts = [
        count(len(plan["actions"]), "action"),
        times.get(restarts, f"engine restarts {restarts} times"),
        f"{count(len(stopping), 'container')} {'stops' if len(stopping) == 1 else 'stop'}",
        f"{count(refused, 'connection')} refused",
    ]
    return f"{', '.join(parts)}."
