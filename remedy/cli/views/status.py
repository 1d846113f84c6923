"""What is applied, what drifted, what waits."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from remedy.cli.views import untracked
from remedy.cli.views.layout import Page, count, moment
from remedy.cli.views.tracking import show_tracked_in_short

_STATES = {
    "clean": ("Nothing of remedy's is applied.", "bold"),
    "applied": ("Applied.", "bold green"),
    "pending": ("Applied, and waiting for `remedy confirm`.", "bold yellow"),
    "interrupted": ("A run was interrupted.", "bold red"),
}
_PROXY = {True: "on", False: "off", None: "unknown"}


def show(console: Console, status: dict[str, Any]) -> None:
    """Write a StatusReport."""
    page = Page(console)
    headline, style = _STATES[status["state"]]
    since = f" Run {status['run']}, {moment(status['since'])}." if status["run"] else ""
    page.line((headline, style), since)
    if status["deadline"]:
        page.line((f"Undone at {moment(status['deadline'])} unless you say: remedy confirm", "yellow"))
    processes = count(status["docker_proxy_processes"], "process", "processes")
    page.line(
        f"Docker {status['engine_version']}, userland proxy {_PROXY[status['userland_proxy']]}, "
        f"docker-proxy: {processes}, {count(status['docker_proxy_connections'], 'connection')}"
    )
    show_tracked_in_short(page, status["conntrack"])
    untracked.show(page, status.get("untracked", []), status.get("own_tables", []))
    if status["watcher"] is not None:
        page.line(f"The watcher (remedy-watch.service) is {status['watcher']}.")
    if status["state"] == "applied" and not status["drift"]:
        page.line("No drift.")
    _show_drift(page, status["drift"])
    if status["next_step"]:
        page.line(("next: ", "bold"), status["next_step"])


def _show_drift(page: Page, drift: list[dict[str, Any]]) -> None:
    if not drift:
        return
    page.line((f"{count(len(drift), 'thing')} drifted:", "bold yellow"))
    for item in drift:
        page.line(("~ ", "yellow"), (item["what"], "bold"), f"  {item['where']}", indent=2)
        page.field("wanted", item["expected"], indent=6)
        page.field("found", item["found"], indent=6)
        page.field("next", item["next_step"], indent=6)
