"""A page of the documentation: typeset on a terminal, as it was written in a pipe or a file."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markdown import Markdown

WIDEST = 100


def show(console: Console, page: dict[str, Any]) -> None:
    """Write the page."""
    if not console.is_terminal:
        console.file.write(page["text"])
        return
    console.print(Markdown(page["plain_text"], hyperlinks=False), width=min(console.width, WIDEST))
