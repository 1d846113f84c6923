"""The override is left in place only when compose takes it, and adds one network and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import remedy.actions.compose_override as executor
from remedy.actions.compose_override import ComposeOverrideAction, unexpected
from remedy.actions.context import ActionContext
from remedy.errors import InputError, RemedyError
from remedy.host.compose import Config
from remedy.plan.actions import FileContent, WriteComposeOverride

OLD = frozenset({"dev1_default"})
NEW = OLD | {"lb"}


def override(directory: Path, original: bytes | None = None) -> WriteComposeOverride:
    path = str(directory / "compose.override.yaml")
    return WriteComposeOverride(
        id="o", summary="s", reason="r", before="b", after="a", inverse="i", path=path, project="dev1",
        services=("api",), network="lb", content=FileContent(path=path, raw=b"new\n", mode=0o640),
        original=FileContent(path=path, raw=original), compose_files=("base",), working_directory=str(directory),
    )  # fmt: skip


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def context(tmp_path_factory: pytest.TempPathFactory, notes: list[str]) -> ActionContext:
    return ActionContext.for_host("unix:///nowhere", tmp_path_factory.mktemp("state"), notes.append)


def compose_answers(monkeypatch: pytest.MonkeyPatch, *answers: Config) -> None:
    left = list(answers)
    monkeypatch.setattr(executor, "has_compose", lambda: bool(answers))
    monkeypatch.setattr(executor, "read_config", lambda *_: left.pop(0))


def test_it_is_written_and_taken_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, context: ActionContext) -> None:
    compose_answers(monkeypatch, Config({"api": OLD}), Config({"api": NEW}))
    action = ComposeOverrideAction(override(tmp_path), context)

    action.apply()
    assert (tmp_path / "compose.override.yaml").read_bytes() == b"new\n"
    assert (tmp_path / "compose.override.yaml").stat().st_mode & 0o777 == 0o640
    assert action.is_applied()
    action.revert({})
    action.revert({})
    assert os.listdir(tmp_path) == []


def test_compose_that_is_missing_is_noted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, context: ActionContext, notes: list[str]
) -> None:
    compose_answers(monkeypatch)

    ComposeOverrideAction(override(tmp_path), context).apply()

    assert "not installed" in notes[0]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Config({}, "mutually exclusive"), "mutually exclusive"),
        (Config({"api": frozenset({"lb"})}), "lose the network dev1_default"),
    ],
)
def test_nothing_is_left_of_what_compose_does_not_take(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, context: ActionContext, answer: Config, words: str
) -> None:
    compose_answers(monkeypatch, Config({"api": OLD}), answer)

    with pytest.raises(RemedyError) as caught:
        ComposeOverrideAction(override(tmp_path), context).apply()

    assert words in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_project_that_compose_does_not_take_today_is_not_judged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, context: ActionContext, notes: list[str]
) -> None:
    compose_answers(monkeypatch, Config({}, "required variable X is missing"))

    ComposeOverrideAction(override(tmp_path), context).apply()

    assert "required variable X" in notes[0]


def test_a_symbolic_link_in_its_place_is_not_written_through(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, context: ActionContext
) -> None:
    compose_answers(monkeypatch)
    (tmp_path / "compose.override.yaml").symlink_to("/etc/shadow-of-nobody")

    with pytest.raises(InputError):
        ComposeOverrideAction(override(tmp_path), context).apply()


def test_a_project_that_is_gone_with_its_directory_is_undone(
    tmp_path: Path, context: ActionContext, notes: list[str]
) -> None:
    ComposeOverrideAction(override(tmp_path / "gone"), context).revert({})

    assert "is gone" in notes[0]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (OLD, NEW, None),
        (frozenset(), NEW, None),  # network_mode: bridge, taken away
        (OLD, OLD, "would not be on lb"),
        (OLD, NEW | {"x"}, "join the network x"),
    ],
)
def test_a_service_gets_the_one_network(before: frozenset[str], after: frozenset[str], words: str | None) -> None:
    found = unexpected({"api": before}, {"api": after}, "lb", ("api",))

    assert found is None if words is None else words in (found or "")
