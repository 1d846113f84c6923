"""The JSON Schema of remedy.yaml, for editors and linters."""

from __future__ import annotations

from typing import Any

from remedy.spec.models import Spec

SECTIONS = ("backends", "remedies", "accept", "probes", "policy")
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the schema, draft 2020-12."""
    schema = Spec.model_json_schema(by_alias=True)
    for name, section in schema["properties"].items():
        if name in SECTIONS:
            # A section with nothing but comments below it is null in YAML, and means the same as no section.
            schema["properties"][name] = {"anyOf": [section, {"type": "null"}]}
    return {
        "$schema": DIALECT,
        "title": "remedy.yaml",
        "description": "What remedy holds a Docker host to. An absent key means: leave it as it is.",
        **{key: value for key, value in schema.items() if key not in ("title", "description")},
    }
