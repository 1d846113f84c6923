"""A plan on disk: written 0600, read back only when it is whole and unedited."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pydantic import ValidationError

from remedy.errors import InputError
from remedy.host.files import read_without_following, write_atomically
from remedy.plan.model import PLAN_FORMAT_VERSION, Plan

KIND = "remedy-plan"


def save_plan(plan: Plan, path: Path) -> None:
    """Write a plan with its checksum. Raises InputError or OSError."""
    content = plan.model_dump(mode="json", by_alias=True)
    document = {"kind": KIND, "sha256": _checksum(content), "plan": content}
    write_atomically(path, (json.dumps(document, indent=1) + "\n").encode(), mode=0o600)


def load_plan(path: Path) -> Plan:
    """Read a plan. Raises InputError: missing, truncated, edited, of another version, no plan at all."""
    raw = read_without_following(path)
    again = "make the plan again: remedy plan -o FILE"
    if raw is None:
        raise InputError("there is no such plan file", where=str(path), next_step=again)
    try:
        document = json.loads(raw)
    except ValueError as error:
        raise InputError(
            "the plan file is truncated or not a plan", where=str(path), why=str(error), next_step=again
        ) from error
    if not isinstance(document, dict) or document.get("kind") != KIND or not isinstance(document.get("plan"), dict):
        raise InputError("this is not a plan file of remedy", where=str(path), next_step=again)
    content = document["plan"]
    if content.get("format_version") != PLAN_FORMAT_VERSION:
        raise InputError(
            f"the plan has format version {content.get('format_version')!r}",
            where=str(path),
            why=f"this version of remedy reads {PLAN_FORMAT_VERSION}",
            next_step=again,
        )
    if document.get("sha256") != _checksum(content):
        raise InputError(
            "the plan file was edited since remedy wrote it", where=str(path), why="checksum", next_step=again
        )
    try:
        return Plan.model_validate(content)
    except ValidationError as error:
        raise InputError(
            "the plan file does not say what a plan says", where=str(path), why=str(error), next_step=again
        ) from error


def _checksum(content: object) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(canonical).hexdigest()
