"""Whose facts were fetched, and where they are."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from remedy.cli.views.fleet_plan import show_failures
from remedy.cli.views.layout import Cell, Page, count

_HEADS = ("host", "engine", "firewall", "containers", "docker-proxy", "facts")


def show(console: Console, fleet: dict[str, Any]) -> None:
    """Write a FleetFacts."""
    page = Page(console)
    heads: list[Cell] = [
        (head, "dim") for head in ("host", "engine", "firewall", "containers", "docker-proxy", "facts")
    ]
    page.columns([heads, *map(_row, fleet["hosts"])], indent=0)
    show_failures(page, fleet["hosts"])
    page.blank()
    fetched = sum(host["error"] is None for host in fleet["hosts"])
    page.line((f"Facts of {fetched} of {count(len(fleet['hosts']), 'host')} in {fleet['directory']}.", "bold"))
    if fetched:
        page.line(("next: ", "bold"), f"remedy plan --facts-dir {fleet['directory']}")


def _row(host: dict[str, Any]) -> list[Cell]:
    seen = host["host"]
    told = ["", "", "", ""]
    if seen is not None:
        told = [seen["engine_version"], seen["firewall_backend"], seen["containers"], seen["docker_proxy_processes"]]
    return [host["name"], *map(str, told), ("failed", "bold red") if host["error"] else (host["facts_file"], "")]
