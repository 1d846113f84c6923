"""`remedy facts`: what remedy sees of this host."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from remedy.cli.context import Session
from remedy.cli.help import RemedyCommand, command_app

app = command_app()

EXAMPLES = """
remedy facts | less
remedy facts -o web1.facts.json             # save them ...
remedy plan --facts web1.facts.json         # ... and plan anywhere
"""


@app.command(cls=RemedyCommand, epilog=EXAMPLES)
def facts(
    context: typer.Context,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="save here instead of printing")
    ] = None,
) -> None:
    """Show or save what remedy sees of this host.

    Reads the engine, containers, rules, sysctls, bridge ports, docker-proxy processes and connections, and
    writes nothing to the host. Always JSON. A saved file can be planned on another machine and attached to a
    bug report: read it first, it names containers, addresses and connections.
    """
    session = Session(context)
    seen = session.facts()
    if output is None:
        from remedy.cli.views.console import write_json

        write_json(seen.model_dump(mode="json", by_alias=True))
        return
    from remedy.facts import save_facts

    save_facts(seen, output)
    session.say({"saved": str(output)}, f"Saved the facts of {seen.host.hostname} to {output}.")
