"""docs/reference cannot rot: it holds the help as it is, every key of remedy.yaml, every exit code."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from remedy import errors
from remedy.cli.app import COMMANDS
from remedy.cli.main import run
from remedy.spec.expectations import keys_of
from remedy.spec.load import parse_spec
from remedy.spec.models import AcceptedLoss, Backend, Policy, Probe, Remedies, Spec

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
INTRODUCTION = """# Command line

Written from the help of each command (`UPDATE_GOLDEN=1 pytest tests/unit/cli` writes it again). The
[exit codes](exit-codes.md), [remedy.yaml](remedy-yaml.md) and [the lab](lab.md) have pages of their own.

| variable | means |
|---|---|
| `DOCKER_HOST` | the engine's socket; what changes the host needs the host's own |
| `REMEDY_STATE_DIR` | where runs are kept (`/var/lib/remedy`) |
| `NO_COLOR` | no colour, as with `--no-color` |

"""


def test_the_command_lines_page_is_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    sections = []
    fleet = [f"fleet {name}" for name in ("facts", "plan", "report", "playbooks")]
    commands = ["", *(name for name in COMMANDS if name != "lab")]
    place = commands.index("fleet") + 1
    for command in commands[:place] + fleet + commands[place:]:
        run([*command.split(), "--help"])
        own = capsys.readouterr().out
        if command:
            own = own.partition("\nGlobal options")[0]
        sections.append(f"## remedy {command}".rstrip() + f"\n\n```text\n{own.rstrip()}\n```\n")
    page = INTRODUCTION + "\n".join(sections)
    path = REFERENCE / "command-line.md"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(page)
    assert page == path.read_text(), "UPDATE_GOLDEN=1 writes it again"


def test_every_key_of_the_spec_has_its_place() -> None:
    page = (REFERENCE / "remedy-yaml.md").read_text()
    for key in keys_of(Spec):
        assert f"## {key}\n" in page or f"`{key}`" in page
    for model in (Backend, Remedies, AcceptedLoss, Probe, Policy):
        for key in keys_of(model):
            assert f"`{key}`" in page, f"{model.__name__}.{key}"


def test_the_pages_examples_are_right() -> None:
    page = (REFERENCE / "remedy-yaml.md").read_text()
    example = re.findall(r"```yaml\n(version.*?)```", page, flags=re.DOTALL)
    assert len(example) == 1
    assert parse_spec(example[0], "x").remedies.userland_proxy is False


def test_every_error_has_its_line() -> None:
    rows = dict(
        re.findall(r"^\| (\d+) \|[^|]*\|([^|]*)\|", (REFERENCE / "exit-codes.md").read_text(), flags=re.MULTILINE)
    )
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.RemedyError):
            assert f"`{kind.code}`" in rows[str(kind.exit_code)], kind.__name__
