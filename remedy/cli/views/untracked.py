"""Untracked pairs as a person reads them: in one line while they are what they should be."""

from __future__ import annotations

from typing import Any

from remedy.cli.views.layout import Page, count


def show(page: Page, pairs: list[dict[str, Any]], own_tables: list[dict[str, Any]]) -> None:
    """Write how many pairs there are, what they say to each other, and what conntrack has of it, also inside them."""
    if not pairs:
        return
    entries = sum(pair["entries"] for pair in pairs)
    connections = sum(pair["connections"] for pair in pairs)
    page.line(
        f"notrack: {count(len(pairs), 'pair')}, {count(connections, 'connection')}, ",
        (count(entries, "conntrack entry", "conntrack entries"), "bold yellow" if entries else "green"),
    )
    for pair in pairs if entries else ():
        if pair["entries"]:
            client = pair["client"] or pair["client_address"]
            page.line(f"{client} → {pair['server'] or 'nobody'} {pair['to']}  {pair['entries']}", indent=2)
    _show_own_tables(page, own_tables)


def _show_own_tables(page: Page, tables: list[dict[str, Any]]) -> None:
    filling = [table for table in tables if not table["kept_empty"]]
    kept = len(tables) - len(filling)
    if kept:
        entries = sum(table["entries"] or 0 for table in tables if table["kept_empty"])
        left = f"{count(entries, 'entry', 'entries')} of DNS, or from before"
        page.line(f"their own tables: {kept} kept empty, {left}")
    for table in filling:
        entries = "unknown" if table["entries"] is None else count(table["entries"], "entry", "entries")
        page.line(f"the own table of {table['container']} fills: ", (entries, "yellow"), indent=2)
