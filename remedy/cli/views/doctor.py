"""Findings as a person reads them at 3 a.m.: the dearest first, each with evidence, consequence and remedy."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from remedy.cli.views.layout import Page, count, moment, seconds
from remedy.cli.views.tracking import show_tracked

MAX_EVIDENCE = 20  # --format json has all of it
MAX_CONSUMERS = 10
_SEVERITIES = {"high": "bold red", "medium": "bold yellow", "low": "cyan"}
_PROXY = {True: "userland proxy on", False: "userland proxy off", None: "userland proxy unknown"}
_ANSWERS = {True: "bold yellow", False: "bold green", None: "yellow"}


def show(console: Console, diagnosis: dict[str, Any]) -> None:
    """Write a Diagnosis."""
    page = Page(console)
    _show_host(page, diagnosis["host"])
    said: dict[str, int] = {}
    for number, finding in enumerate(diagnosis["findings"], start=1):
        page.blank()
        _show_finding(page, number, finding, said)
    if not diagnosis["findings"]:
        page.blank()
        page.line(
            ("Nothing found.", "bold green"),
            " No connection was seen to run through docker-proxy, and nothing else is wrong.",
        )
    page.blank()
    _show_needed(page, diagnosis["proxy_needed"])
    _show_observed(page, diagnosis["observed"])
    show_tracked(page, diagnosis["conntrack"])
    _show_unread(page, diagnosis["not_examined"])
    page.blank()
    page.line(("next: ", "bold"), diagnosis["next_step"])


def _show_host(page: Page, host: dict[str, Any]) -> None:
    facts = [
        f"Docker {host['engine_version']}",
        host["firewall_backend"],
        _PROXY[host["userland_proxy"]],
        count(host["containers"], "container"),
        count(host["docker_proxy_processes"], "docker-proxy process", "docker-proxy processes")
        + f" with {count(host['docker_proxy_connections'], 'connection')}",
    ]
    page.line((host["hostname"], "bold"), f": {', '.join(facts)}")


def _show_finding(page: Page, number: int, finding: dict[str, Any], said: dict[str, int]) -> None:
    """Show one. said: what was said already, and by which finding: nobody reads it twice."""
    style = _SEVERITIES[finding["severity"]]
    page.line(
        (f"{number:>3} ", "dim"),
        (f"{finding['severity']:<6} ", style),
        (finding["title"], "bold"),
        (f"  ({finding['confidence']}, {finding['code']})", "dim"),
    )
    for item in finding["evidence"][:MAX_EVIDENCE]:
        where = f"  [{item['where']}]" if item["where"] else ""
        page.line("- ", item["what"], (where, "dim"), indent=11)
    if len(finding["evidence"]) > MAX_EVIDENCE:
        page.line(f"- and {len(finding['evidence']) - MAX_EVIDENCE} more (--format json has them all)", indent=11)
    for label, text, text_style in (("costs", finding["consequence"], ""), ("remedy", finding["remedy"], "green")):
        first = said.setdefault(text, number)
        page.field(label, text if first == number else f"as {first}", indent=11, style=text_style)
    page.field("spec", finding["spec"] or "", indent=11)


def _show_needed(page: Page, needed: dict[str, Any]) -> None:
    page.line(("Is docker-proxy needed here? ", "bold"), (needed["answer"], _ANSWERS[needed["needed"]]))
    for consumer in needed["consumers"][:MAX_CONSUMERS]:
        page.line(
            f"- {consumer['from']} -> {consumer['to']} ({consumer['container']}): {consumer['why']}",
            (f"  [{consumer['known_by']}]", "dim"),
            indent=2,
        )
    if len(needed["consumers"]) > MAX_CONSUMERS:
        page.line(f"- and {len(needed['consumers']) - MAX_CONSUMERS} more", indent=2)
    for possible in needed["possible"]:
        page.line(f"- perhaps by somebody who was not seen: {possible}", indent=2)
    page.field("origin", needed["made_for"], indent=2, style="dim")


def _show_observed(page: Page, observed: dict[str, Any] | None) -> None:
    if observed is None:
        page.line("Nobody has watched this host: remedy doctor --observe 10m sees who connects more rarely.")
        return
    last = f", last until {moment(observed['last_ended'])}" if observed["last_ended"] else ""
    page.line(
        f"Watched for {seconds(observed['seconds'])}{last}: {count(len(observed['consumers']), 'consumer')} of "
        "published ports seen."
        + ("" if observed["is_complete"] else " Connections of less than a moment may be missing.")
    )
    newest = sorted(observed["consumers"], key=lambda one: one["last_seen"], reverse=True)
    page.columns(
        [
            [f"{one['from']} -> {one['to']}", count(one["count"], "connection"), f"last {moment(one['last_seen'])}"]
            for one in newest[:MAX_CONSUMERS]
        ]
    )
    if len(newest) > MAX_CONSUMERS:
        page.line(f"... and {len(newest) - MAX_CONSUMERS} more", indent=2)


def _show_unread(page: Page, unread: list[dict[str, Any]]) -> None:
    if not unread:
        return
    page.line(("Not examined: ", "yellow"), f"{count(len(unread), 'thing')} could not be read")
    for item in unread:
        page.line(f"- {item['what']}", indent=2)
