"""Where output goes and how it looks: one place decides on colour and width."""

from __future__ import annotations

import json
import os
import sys
from typing import TextIO

from rich.console import Console
from rich.text import Text

from remedy.cli.options import GlobalOptions

PLAIN_WIDTH = 110


def make_console(options: GlobalOptions, stream: TextIO | None = None) -> Console:
    """Return a console on standard output (or `stream`): colour on a terminal, plain text elsewhere.

    Lines are never cut where the output is no terminal: a log or a grep wants the whole line.
    """
    target = sys.stdout if stream is None else stream
    on_terminal = target.isatty() and os.environ.get("TERM") != "dumb"
    plain = options.no_color or bool(os.environ.get("NO_COLOR")) or not on_terminal
    return Console(
        file=target,
        force_terminal=on_terminal,
        no_color=plain,
        color_system=None if plain else "auto",
        width=None if on_terminal else PLAIN_WIDTH,
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=not on_terminal,
    )


def write_json(payload: object, stream: TextIO | None = None) -> None:
    """Write one JSON document. ASCII only: \\u escapes keep the host's text harmless on a terminal."""
    target = sys.stdout if stream is None else stream
    target.write(json.dumps(payload, indent=2, ensure_ascii=True) + "\n")
    target.flush()


def styled(*parts: str | tuple[str, str]) -> Text:
    """Return a line of text from pieces, each plain or with its style. The pieces are escaped before."""
    return Text.assemble(*parts)
