"""A compose override that somebody edited after apply: found, shown, and kept when it is written over."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from remedy.apply.foreign import foreign_changes, foreign_differences, keep_foreign_files
from remedy.apply.runs import Run
from remedy.plan.actions import FileContent, WriteComposeOverride
from remedy.plan.model import Plan
from remedy.plan.plan_file import save_plan

Journalled = Callable[..., Run]
WRITTEN = b"# Written by remedy.\nservices: {}\n"
EARLIER = b"# Written by remedy.\nservices: {old: {}}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "compose.override.yaml"


@pytest.fixture
def plan(plan: Plan, path: Path) -> Plan:
    made = [_override(path.with_name(name), raw) for name, raw in ((path.name, None), ("green.yaml", EARLIER))]
    return plan.model_copy(update={"actions": (*plan.actions[:1], *made)})


def _override(path: Path, original: bytes | None) -> WriteComposeOverride:
    was = FileContent(path=str(path), raw=original, mode=0o644, uid=os.getuid(), gid=os.getgid())
    texts = dict.fromkeys(("summary", "reason", "before", "after", "inverse"), "x")
    return WriteComposeOverride(
        id=path.name, path=str(path), project="p", services=("api",), network="lb", compose_files=(),
        content=was.model_copy(update={"raw": WRITTEN}), original=was, working_directory=str(path.parent), **texts,
    )  # fmt: skip


@pytest.fixture
def run(journalled: Journalled, path: Path) -> Run:
    return journalled("started", ("intent", path.name), "committed")


def test_an_edited_override_is_named_shown_three_ways_and_kept(run: Run, path: Path) -> None:
    path.write_bytes(WRITTEN + b"# mine\n")

    assert foreign_changes(run, None) == (f"{path} was edited since",)
    shown = foreign_differences(run)
    assert "+services: {}" in shown
    assert shown[-1] == "+# mine"
    (kept,) = keep_foreign_files(run)
    assert kept == run.directory / "overwritten-compose.override.yaml"
    assert kept.read_bytes() == WRITTEN + b"# mine\n"
    assert kept.stat().st_mode & 0o777 == 0o600


def test_what_remedy_wrote_and_what_was_removed_is_nobody_elses(run: Run, path: Path) -> None:
    assert foreign_changes(run, None) == ()
    path.write_bytes(WRITTEN)
    assert foreign_changes(run, None) == ()
    assert keep_foreign_files(run) == ()


def test_the_override_of_an_earlier_run_is_nobody_elses(journalled: Journalled, path: Path) -> None:
    run = journalled("started", ("intent", "green.yaml"))
    path.with_name("green.yaml").write_bytes(EARLIER)
    assert foreign_changes(run, None) == ()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/passwd", path)])
def test_what_is_no_regular_file_is_named_and_neither_waited_for_nor_followed(
    run: Run, path: Path, make: Callable[[Path], None]
) -> None:
    make(path)
    assert foreign_changes(run, None) == (f"{path} was replaced by what is no regular file since",)
    assert keep_foreign_files(run) == ()


def test_two_edited_files_of_one_name_are_both_kept(journalled: Journalled, plan: Plan, path: Path) -> None:
    elsewhere = path.with_name("other") / path.name
    elsewhere.parent.mkdir()
    action = _override(elsewhere, None).model_copy(update={"id": "other"})
    run = journalled("started", ("intent", path.name), ("intent", "other"))
    both = plan.model_copy(update={"actions": (*plan.actions, action)})
    save_plan(both, run.directory / "plan.json")
    run = Run(run.id, run.directory, run.records)
    path.write_bytes(b"one")
    elsewhere.write_bytes(b"two")
    assert {kept.read_bytes() for kept in keep_foreign_files(run)} == {b"one", b"two"}
