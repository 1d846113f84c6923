"""What `remedy explain` can explain."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from remedy.cli.views.layout import Page

_HEADS = {"explanation": "Why and how", "how-to": "How to", "reference": "Look up", "tutorial": "Learn"}


def show(console: Console, listed: dict[str, Any]) -> None:
    """Write the topics by kind."""
    page = Page(console)
    names: dict[str, list[str]] = {}
    for alias, topic in listed["aliases"].items():
        names.setdefault(topic, []).append(alias)
    width = max(len(item["topic"]) for item in listed["topics"])
    for folder, head in _HEADS.items():
        members = [item for item in listed["topics"] if item["folder"] == folder]
        if not members:
            continue
        page.line((head, "bold"))
        for item in members:
            also = f"  (also: {', '.join(names[item['topic']])})" if item["topic"] in names else ""
            page.line((f"{item['topic']:<{width}}", "cyan"), f"  {item['title']}", (also, "dim"), indent=2)
    page.blank()
    page.line(("next: ", "bold"), "remedy explain TOPIC")
