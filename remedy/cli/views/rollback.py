"""What a rollback will undo."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from remedy.cli.views.layout import Page


def show(console: Console, described: dict[str, Any]) -> None:
    """Write the steps."""
    page = Page(console)
    if not described["steps"]:
        page.line("Nothing to undo.")
        return
    page.line("remedy will undo this, in order:")
    page.blank()
    for number, step in enumerate(described["steps"], start=1):
        page.line((f"{number:>3} ", "dim"), ("- ", "red"), step)
