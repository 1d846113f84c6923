"""An error as a person or a program reads it."""

from __future__ import annotations

import sys

from remedy.cli.options import GlobalOptions
from remedy.errors import RemedyError


def show_error(error: RemedyError, options: GlobalOptions) -> None:
    """Write the error: JSON on standard output with --format json, else text on standard error."""
    from remedy.cli.views.console import make_console, write_json

    if options.is_json:
        write_json({"error": error.as_json()})
        return
    from rich.text import Text

    from remedy.cli.views.escape import escape_lines

    sys.stdout.flush()  # what was shown before stands before, where both go to one file

    console = make_console(options, sys.stderr)
    rows = [("Error", error.what), ("where", error.where), ("why", error.why), ("next", error.next_step)]
    for label, value in rows:
        if not value:
            continue
        first, *more = escape_lines(value)
        indent = "" if label == "Error" else "  "
        style = "bold red" if label == "Error" else "bold"
        console.print(Text.assemble((f"{indent}{label}:", style), f" {first}"))
        for line in more:
            console.print(Text(f"{'':{len(indent) + len(label) + 2}}{line}"))
