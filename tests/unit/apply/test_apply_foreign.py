"""Whose change a rollback would write over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from remedy.apply.foreign import foreign_changes, keep_foreign_files
from remedy.apply.runs import Run
from remedy.plan.actions import HoldLiveRestore, ReleaseLiveRestore, SwitchUserlandProxy
from remedy.plan.model import Plan

Journalled = Callable[..., Run]
ALL = [("intent", i) for i in ("hold_live_restore", "userland_proxy", "release_live_restore")]


@pytest.fixture
def plan(plan: Plan, tmp_path: Path) -> Plan:
    """The plan, with its daemon.json in a directory of the test's own."""
    path = str(tmp_path / "daemon.json")
    text = plan.model_dump_json(by_alias=True).replace("/etc/docker/daemon.json", path)
    return Plan.model_validate_json(text)


def contents(plan: Plan) -> list[bytes | None]:
    found = []
    for action in plan.actions:
        if isinstance(action, HoldLiveRestore):
            found += [action.content.raw, action.release_content.raw, action.original.raw]
        elif isinstance(action, SwitchUserlandProxy):
            found += [action.content.raw, action.back_content.raw, action.original.raw]
        elif isinstance(action, ReleaseLiveRestore):
            found += [action.release_content.raw, action.final.raw, action.hold_content.raw]
    return found


def put(plan: Plan, raw: bytes | None) -> None:
    path = Path(plan.daemon_json_path)
    if raw is None:
        path.unlink(missing_ok=True)
    else:
        path.write_bytes(raw)


@pytest.mark.parametrize("reverted", [0, 1, 2, 3])
def test_whatever_the_plan_itself_writes_is_nobody_elses(journalled: Journalled, plan: Plan, reverted: int) -> None:
    undone = [("reverted", name) for _, name in ALL[::-1][:reverted]]
    run = journalled("started", *ALL, *undone, "rollback-started")
    for raw in contents(plan):
        put(plan, raw)
        assert foreign_changes(run, None) == ()


def test_an_edit_is_named_and_kept_before_it_is_written_over(journalled: Journalled, plan: Plan) -> None:
    run = journalled("started", *ALL, "committed")
    edited = b'{"debug": true}'
    put(plan, edited)
    assert foreign_changes(run, None) == (f"{plan.daemon_json_path} was edited since",)
    (kept,) = keep_foreign_files(run)
    assert kept.read_bytes() == edited
    assert kept.parent == run.directory


def test_where_nothing_was_edited_nothing_is_kept(journalled: Journalled, plan: Plan) -> None:
    run = journalled("started", *ALL, "committed")
    put(plan, contents(plan)[0])
    assert keep_foreign_files(run) == ()


def test_a_file_that_the_run_has_not_come_to_is_no_concern_of_its_undo(journalled: Journalled, plan: Plan) -> None:
    run = journalled("started", ("intent", "bridge"))
    put(plan, b"whatever")
    assert foreign_changes(run, None) == ()


def test_a_symbolic_link_in_the_place_of_the_file_is_named(journalled: Journalled, plan: Plan, tmp_path: Path) -> None:
    run = journalled("started", *ALL, "committed")
    Path(plan.daemon_json_path).symlink_to(tmp_path / "elsewhere")
    assert "symbolic link" in foreign_changes(run, None)[0]
    assert keep_foreign_files(run) == ()
