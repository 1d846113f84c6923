"""Every command that the README or a page of the documentation shows is run, in the order of the page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_blocks import REPOSITORY, Block, Command, UnclearBlockError, blocks_of, pages

from remedy.lab import Host

TIMEOUT_SECONDS = 180

_LAB_SCRIPT = "cd /root; set -eu -o pipefail; {{ {script}\n}} 2>&1"


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def with_runnable_blocks() -> list[Path]:
    return [page for page in pages() if any(block.place != "no-run" for block in _blocks_or_none(page))]


def _blocks_or_none(page: Path) -> list[Block]:
    try:
        return blocks_of(page)
    except UnclearBlockError:  # told by its own test
        return []


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_command_block_says_where_it_runs_or_why_not(page: Path) -> None:
    for block in blocks_of(page):
        assert block.commands


@pytest.mark.lab
@pytest.mark.parametrize("page", with_runnable_blocks(), ids=name_of)
def test_the_commands_of_a_page_do_what_it_says(page: Path, page_host: Host, own_lab: Path) -> None:
    for block in blocks_of(page):
        commands = block.commands
        for number, command in enumerate(commands, start=1):
            expected = block.exit if number == len(commands) else 0
            if block.place == "lab":
                status, output = on_host(page_host, command)
            elif block.place == "machine":
                status, output = on_machine(own_lab, command)
            else:
                continue
            place = f"{block.page}:{command.line}"
            assert status == expected, f"{place}: ended with {status}, not {expected}\n{command.script}\n{output}"
            if command.output:
                assert is_alike(command.output, output), f"{place}: the page shows\n{command.output}\nbut got\n{output}"


def on_host(host: Host, command: Command) -> tuple[int, str]:
    done = host.run(
        ["bash", "-c", _LAB_SCRIPT.format(script=command.script)],
        timeout=TIMEOUT_SECONDS,
        check=False,
        env={"HOME": "/root"},
    )
    return done.status, done.stdout


def on_machine(lab: Path, command: Command) -> tuple[int, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f"set -eu -o pipefail; {{ {command.script}\n}} 2>&1"],
        cwd=REPOSITORY,
        env={**os.environ, "PATH": path, "REMEDY_LAB_DIR": str(lab)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    return done.returncode, done.stdout


def is_alike(shown: str, got: str) -> bool:
    """Whether the output is what the page shows: ... is anything, nothing too; one blank is like many."""
    pieces = [re.escape(piece.strip()) for piece in " ".join(shown.split()).split("...")]
    return re.fullmatch(".*?".join(pieces), " ".join(got.split()), re.DOTALL) is not None


# --- the reader of the blocks itself ---------------------------------------------------------------------------


def _page(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("command_blocks.REPOSITORY", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(text)
    return page


def test_a_block_without_a_place_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnclearBlockError, match=r"page.md:3: say where"):
        blocks_of(_page(tmp_path, "# A\n\n```sh\nls\n```\n", monkeypatch))


def test_a_block_that_is_not_run_needs_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnclearBlockError, match="say why not"):
        blocks_of(_page(tmp_path, "```sh no-run\nls\n```\n", monkeypatch))


def test_a_session_is_split_at_its_prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "```console lab exit=2\n$ echo a \\\n  b\na b\n$ false\n```\n\n```yaml\na: 1\n```\n"

    (block,) = blocks_of(_page(tmp_path, text, monkeypatch))

    assert block.exit == 2
    assert block.commands == (Command("echo a \\\n  b", "a b", 2), Command("false", "", 5))


def test_dots_stand_for_anything_and_blanks_do_not_count() -> None:
    assert is_alike("Applied. Run ...\n15 connections ...", "Applied.  Run 2026-1.\n15 connections work.\n")
    assert is_alike("one\n...\ntwo", "one\ntwo\n")
    assert not is_alike("Applied.", "Refused.")
    assert not is_alike("Applied.", "Applied.\nWarning.")
