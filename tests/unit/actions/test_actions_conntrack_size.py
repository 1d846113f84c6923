"""Sizing the table under a substitute root: this machine's own settings are never written."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import remedy.actions.conntrack_size as executor
from remedy.actions.conntrack_size import ConntrackSizeAction
from remedy.actions.context import ActionContext
from remedy.apply.by_hand import commands_by_hand
from remedy.host import conntrack_settings, sysctls
from remedy.host.conntrack_settings import BUCKETS, HASH_SIZE, MAXIMUM, TIME_WAIT, read_setting, setting_path
from remedy.plan.actions import FileContent, SizeConntrack

BEFORE = {TIME_WAIT: "120", BUCKETS: "262144", MAXIMUM: "262144", HASH_SIZE: "262144"}
WANTED = {TIME_WAIT: "30", BUCKETS: "524288", MAXIMUM: "524288"}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sysctls, "PROC_SYS", tmp_path / "sys")
    monkeypatch.setattr(conntrack_settings, "SYS_MODULE", tmp_path / "module")
    for name, value in {**BEFORE, executor.IN_USE: "1000"}.items():
        setting_path(name).parent.mkdir(parents=True, exist_ok=True)
        setting_path(name).write_text(value + "\n")
    (tmp_path / "etc").mkdir()
    return tmp_path


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def context(tmp_path: Path, notes: list[str]) -> ActionContext:
    return ActionContext.for_host("unix:///nowhere", tmp_path / "state", notes.append)


def sizing(root: Path, values: dict[str, str] = WANTED, original: bytes | None = None) -> SizeConntrack:
    paths = (root / "etc/sysctl.d/99-zz-remedy-conntrack.conf", root / "etc/modules-load.d/remedy-conntrack.conf")
    return SizeConntrack(
        id="conntrack", summary="s", reason="r", before="b", after="a", inverse="i",
        values=values, previous={name: BEFORE[name] for name in values},
        files=tuple(FileContent(path=str(path), raw=b"new\n") for path in paths),
        original_files=(
            FileContent(path=str(paths[0]), raw=original, mode=0o600), FileContent(path=str(paths[1]), raw=None)
        ),
    )  # fmt: skip


def state(root: Path) -> dict[str, object]:
    files = {
        str(path.relative_to(root)): (path.stat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in sorted((root / "etc").rglob("*"))
    }
    return {**files, **{name: read_setting(name) for name in BEFORE}}


@pytest.mark.parametrize("original", [None, b"of an earlier run\n"])
def test_it_is_written_and_put_back_to_the_byte(root: Path, context: ActionContext, original: bytes | None) -> None:
    action = ConntrackSizeAction(sizing(root, original=original), context)
    if original is not None:
        path = Path(sizing(root).files[0].path)
        path.parent.mkdir(mode=0o700)
        path.write_bytes(original)
        path.chmod(0o600)
    before = state(root)
    undo = action.undo_data()
    action.apply()
    assert action.is_applied()
    assert {name: read_setting(name) for name in WANTED} == WANTED
    assert all(Path(file.path).read_bytes() == b"new\n" for file in sizing(root).files)
    action.revert(undo)
    assert state(root) == before
    action.revert(undo)
    assert state(root) == before


@pytest.mark.parametrize("touches", range(6))
def test_killed_after_any_touch_it_is_put_back(
    root: Path, context: ActionContext, monkeypatch: pytest.MonkeyPatch, touches: int
) -> None:
    before = state(root)
    left = [touches]

    def dying(real: Callable[..., None]) -> Callable[..., None]:
        def touch(*arguments: object) -> None:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            real(*arguments)

        return touch

    action = ConntrackSizeAction(sizing(root), context)
    undo = action.undo_data()
    with monkeypatch.context() as patched:
        patched.setattr(executor, "write_setting", dying(executor.write_setting))
        patched.setattr(executor, "put_content", dying(executor.put_content))
        if touches < 5:
            with pytest.raises(KeyboardInterrupt):
                action.apply()
        else:
            action.apply()
    action.revert(undo)
    assert state(root) == before


def test_the_module_parameter_is_written_where_it_lives(root: Path, context: ActionContext) -> None:
    action = ConntrackSizeAction(sizing(root, {HASH_SIZE: "524288"}), context)
    action.apply()
    assert (root / "module/nf_conntrack/parameters/hashsize").read_text() == "524288\n"
    action.revert({})
    assert read_setting(HASH_SIZE) == "262144"


def test_a_table_that_does_not_fit_any_more_is_told_at_undo(
    root: Path, context: ActionContext, notes: list[str]
) -> None:
    action = ConntrackSizeAction(sizing(root), context)
    undo = action.undo_data()
    action.apply()
    setting_path(executor.IN_USE).write_text("300000\n")
    action.revert(undo)
    assert "holds 300000 connections and has room for 262144 again" in notes[0]


def test_by_hand_it_comes_to_the_same(root: Path, context: ActionContext) -> None:
    before = state(root)
    action = ConntrackSizeAction(sizing(root), context)
    undo = action.undo_data()
    action.apply()
    subprocess.run(["sh", "-e"], input="\n".join(commands_by_hand(sizing(root), undo)), text=True, check=True)
    assert state(root) == before
