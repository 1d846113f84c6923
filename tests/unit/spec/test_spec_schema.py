"""The schema says what the loader reads."""

from __future__ import annotations

from typing import Any

import pytest

from remedy.spec.expectations import keys_of
from remedy.spec.load import parse_spec
from remedy.spec.models import Spec
from remedy.spec.schema import DIALECT, json_schema

EXAMPLES = [
    "version: 1\n",
    "version: 1\nremedies:\nbackends:\nprobes:\naccept:\npolicy:\n",
    """
version: 1
load_balancer: {project: dev1, service: haproxy}
backends:
  - {containers: [a], port: 8080}
  - {label: role=api, port: 53, protocol: udp}
remedies: {userland_proxy: false, hairpin: {loopback: true}}
accept: [{from: host, to: "[::1]:5001"}]
probes: [{from: a, to: "172.17.0.1:5001", http: /}]
policy: {restart_engine: true, confirm_within: 60s, accept_pinned: true, stop_containers: false}
""",
]


def test_it_is_of_the_2020_dialect_and_names_every_key() -> None:
    schema = json_schema()
    assert schema["$schema"] == DIALECT
    assert list(schema["properties"]) == keys_of(Spec)
    assert schema["required"] == ["version"]
    assert schema["additionalProperties"] is False


def test_every_reference_leads_somewhere() -> None:
    schema = json_schema()

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [found for child in node.values() for found in references(child)]
        return [found for child in node for found in references(child)] if isinstance(node, list) else []

    assert {found.removeprefix("#/$defs/") for found in references(schema)} <= set(schema["$defs"])


@pytest.mark.parametrize("text", EXAMPLES)
def test_what_the_loader_reads_is_valid_by_the_schema(text: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from remedy.spec.document import read_document

    parse_spec(text, "x")
    jsonschema.Draft202012Validator(json_schema()).validate(read_document(text, "x").value)


@pytest.mark.parametrize("text", ["version: 2\n", "version: 1\nremedies: {notrack: maybe}\n", "version: 1\nx: 1\n"])
def test_what_the_loader_refuses_for_its_form_is_invalid_by_the_schema(text: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from remedy.spec.document import read_document

    validator = jsonschema.Draft202012Validator(json_schema())
    assert not validator.is_valid(read_document(text, "x").value)
