"""`ansible-doc` shows all of the collection: options, examples, what is returned."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[3]
COLLECTION = "docker_remedy.fleet"


def documented(kind: str, *names: str) -> dict[str, Any]:
    command = [Path(sys.executable).parent / "ansible-doc", "--playbook-dir", REPOSITORY / "playbooks", "--json"]
    said = subprocess.run(
        [*command, "--type", kind, *names], capture_output=True, text=True, check=True, env={**os.environ, "HOME": "/"}
    )
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def undescribed(entries: dict[str, Any], children: str, where: str = "") -> list[str]:
    """The names of options or results that have no description, with those inside them."""
    found = []
    for name, entry in entries.items():
        if not entry.get("description"):
            found.append(where + name)
        found += undescribed(entry.get(children) or {}, children, f"{where}{name}.")
    return found


def test_every_option_and_result_of_the_modules_is_described() -> None:
    modules = documented("module", f"{COLLECTION}.remedy", f"{COLLECTION}.remedy_facts")
    for name, shown in modules.items():
        assert shown["doc"]["attributes"].keys() >= {"check_mode", "diff_mode", "platform"}, name
        assert undescribed(shown["doc"]["options"], "suboptions") == []
        assert undescribed(shown["return"], "contains") == []
        assert f"docker_remedy.fleet.{name.rpartition('.')[2]}:" in shown["examples"]


def test_every_variable_of_the_role_is_described() -> None:
    (role,) = documented("role", f"{COLLECTION}.remedy").values()
    options = role["entry_points"]["main"]["options"]
    assert undescribed(options, "options") == []
    assert options.keys() >= {"remedy_state", "remedy_wheels", "remedy_spec"}
