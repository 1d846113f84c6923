"""Asking docker compose what it makes of a project's files. It needs no engine for that, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from remedy.errors import MissingToolError
from remedy.host.commands import run_command

SECONDS = 30.0
Networks = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Config:
    """What compose makes of the files: service -> the names of its networks. complaint: why it takes none of them."""

    networks: Networks
    complaint: str | None = None


def has_compose() -> bool:
    """Whether `docker compose` is there. A docker without the plugin takes its options for its own, and complains."""
    try:
        return run_command(["docker", "compose", "version"], check=False, timeout=SECONDS).status == 0
    except MissingToolError:
        return False


def read_config(project: str, directory: str, files: Sequence[str]) -> Config:
    """The project as compose understands it with these files. Services of profiles that are not on are left out."""
    options = [option for file in files for option in ("-f", file)]
    place = ["--project-directory", directory, "--project-name", project]
    command = ["docker", "compose", *place, *options, "config", "--format", "json"]
    done = run_command(command, check=False, timeout=SECONDS)
    if done.status != 0:
        said = (done.stderr or done.stdout).strip()
        return Config({}, said[-400:] or f"it ends with status {done.status}")
    try:
        document = json.loads(done.stdout)
    except ValueError:
        return Config({}, "its answer is no JSON")
    known = {key: (network or {}).get("name", key) for key, network in (document.get("networks") or {}).items()}
    return Config(
        {
            service: frozenset(known.get(key, key) for key in (said.get("networks") or {}))
            for service, said in (document.get("services") or {}).items()
        }
    )
