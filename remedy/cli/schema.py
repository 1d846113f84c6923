"""`remedy schema`: the JSON Schema of remedy.yaml."""

from __future__ import annotations

from remedy.cli.help import RemedyCommand, command_app

app = command_app()

EXAMPLES = """
remedy schema > remedy.schema.json
# and as the first line of remedy.yaml, for editors that complete and check:
# yaml-language-server: $schema=./remedy.schema.json
"""


@app.command(cls=RemedyCommand, epilog=EXAMPLES)
def schema() -> None:
    """Print the JSON Schema of remedy.yaml.

    JSON Schema, draft 2020-12. Editors and linters use it; remedy itself checks more than a schema can say.
    """
    from remedy.cli.views.console import write_json
    from remedy.spec.schema import json_schema

    write_json(json_schema())
