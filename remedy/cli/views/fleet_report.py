"""The state of many hosts: a row for each, and each kind of finding once."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from remedy.cli.views.fleet_plan import names, show_failures
from remedy.cli.views.layout import Cell, Page, count

_STYLES = {"clean": "", "applied": "green", "pending": "bold yellow", "interrupted": "bold red"}
_PROXY = {True: ("on", "yellow"), False: ("off", "green"), None: ("unknown", "yellow")}
_SEVERITIES = {"high": "bold red", "medium": "bold yellow", "low": "cyan"}
_HEADS = (
    "host", "engine", "firewall", "userland proxy", "docker-proxy", "connections", "state", "drift", "findings",
)  # fmt: skip


def show(console: Console, fleet: dict[str, Any]) -> None:
    """Write a FleetReport."""
    page = Page(console)
    heads: list[Cell] = [(head, "dim") for head in _HEADS]
    page.columns([heads, *map(_row, fleet["hosts"])], indent=0)
    _show_findings(page, fleet["hosts"])
    show_failures(page, fleet["hosts"])
    page.blank()
    answered = sum(host["status"] is not None for host in fleet["hosts"])
    page.line((f"{answered} of {count(len(fleet['hosts']), 'host')} answered.", "bold"))
    if fleet["directory"] is not None:
        page.line(f"remedy-report.md and remedy-report.json are in {fleet['directory']}.")


def _row(host: dict[str, Any]) -> list[Cell]:
    status, findings = host["status"], host["findings"]
    if status is None:
        return [host["name"], *[""] * 5, ("no answer", "bold red"), "", ""]
    return [
        host["name"],
        status["engine_version"],
        status["firewall_backend"],
        _PROXY[status["userland_proxy"]],
        str(status["docker_proxy_processes"]),
        str(status["docker_proxy_connections"]),
        (status["state"], _STYLES.get(status["state"], "")),
        (str(len(status["drift"])), "yellow" if status["drift"] else ""),
        "?" if findings is None else str(len(findings)),
    ]


def _show_findings(page: Page, hosts: list[dict[str, Any]]) -> None:
    """Write each kind of finding with the hosts that have it, the gravest first."""
    kinds: dict[tuple[str, str], list[str]] = {}
    titles: dict[tuple[str, str], str] = {}
    for host in hosts:
        for finding in host["findings"] or ():
            kind = finding["severity"], finding["code"]
            titles.setdefault(kind, finding["title"])
            if host["name"] not in kinds.setdefault(kind, []):
                kinds[kind].append(host["name"])
    order = [*_SEVERITIES]
    for kind in sorted(kinds, key=lambda kind: (order.index(kind[0]), -len(kinds[kind]))):
        severity, code = kind
        page.blank()
        page.line((f"{severity:<6} ", _SEVERITIES[severity]), (titles[kind], "bold"), (f"  ({code})", "dim"))
        page.line(f"{count(len(kinds[kind]), 'host')}: {names(kinds[kind])}", indent=7)
