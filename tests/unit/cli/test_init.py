"""`remedy init` writes one file, never over another by accident, and never through a link."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from remedy.cli.context import Session
from remedy.cli.main import run

PROPOSED = "# proposed\nversion: 1\nremedies:\n  userland_proxy: false\n"
FILE = Path("remedy.yaml")


@pytest.fixture(autouse=True)
def proposal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is proposed is tested with the proposal; here it is always the same."""
    monkeypatch.setattr(Session, "facts", lambda _session: None)
    monkeypatch.setattr("remedy.spec.proposal.propose", lambda _facts, _judge: None)
    monkeypatch.setattr("remedy.spec.render.render_yaml", lambda _proposal: PROPOSED)


def test_it_writes_remedy_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    old = os.umask(0o077)
    try:
        assert run(["init"]) == 0
    finally:
        os.umask(old)
    assert FILE.read_text() == PROPOSED
    assert stat.S_IMODE(FILE.stat().st_mode) == 0o644
    assert capsys.readouterr().out == "Wrote remedy.yaml (userland_proxy: false). Read it, then: remedy plan\n"
    assert os.listdir() == ["remedy.yaml"]


def test_it_answers_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"written": "remedy.yaml", "remedies": {"userland_proxy": False}}


def test_it_never_overwrites_without_force(capsys: pytest.CaptureFixture[str]) -> None:
    FILE.write_text("mine")
    assert run(["init"]) == 1
    assert FILE.read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert run(["init", "--force"]) == 0
    assert FILE.read_text() == PROPOSED


def test_it_writes_where_it_is_told(tmp_path: Path) -> None:
    assert run(["init", "--config", "a.yaml"]) == 0
    assert run(["init", "--config", "b.yaml", "-o", "c.yaml"]) == 0
    assert sorted(os.listdir()) == ["a.yaml", "c.yaml"]


def test_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "-o", "-"]) == 0
    assert capsys.readouterr().out == PROPOSED
    assert os.listdir() == []


@pytest.mark.parametrize("flags", [[], ["--force"]])
def test_it_does_not_write_through_a_link(flags: list[str], tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("theirs")
    FILE.symlink_to(elsewhere)
    assert run(["init", *flags]) == 1
    assert elsewhere.read_text() == "theirs"


@pytest.mark.parametrize("flags", [[], ["--force"]])
def test_a_directory_or_a_missing_one_is_told(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    FILE.mkdir()
    assert run(["init", *flags]) == 1
    assert run(["init", "-o", "no/such/remedy.yaml", *flags]) == 1
    assert "No such file or directory" in capsys.readouterr().err
