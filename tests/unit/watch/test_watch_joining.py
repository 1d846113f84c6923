"""Networks joined apart: who ends meanwhile leaves the others in; and one lock for the whole watcher."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from remedy.apply.followed import Present, read_followed
from remedy.apply.lock import host_lock, lock_is_held
from remedy.apply.settings import Settings
from remedy.errors import EngineError, LockHeldError
from remedy.plan.actions import ConnectNetwork, NetworkMember
from remedy.watch.joining import Join, join
from remedy.watch.shared_lock import SharedLock

NOBODY = Present(frozenset(), frozenset(), frozenset({"1", "2", "3", "4"}))


def connect(*names: str) -> ConnectNetwork:
    keys = dict.fromkeys(("reason", "before", "after", "inverse"), "")
    members = tuple(NetworkMember(container=f"web-{name}", container_id=name) for name in names)
    return ConnectNetwork(id="connect_network", summary="as planned", network="lb", members=members, **keys)


@dataclass
class FakeEngine:
    """Connects whoever runs; of the others it says so once it has tried."""

    running: set[str]
    tried: list[list[str]] = field(default_factory=list)
    connected: set[str] = field(default_factory=set)
    ends_with_each_try: bool = False

    def container(self, identity: str) -> dict[str, Any] | None:
        return {"State": {"Pid": 7 if identity in self.running else 0}}

    def executor_for(self, action: ConnectNetwork, _context: object) -> Executor:
        return Executor(self, [member.container_id for member in action.members])


@dataclass
class Executor:
    engine: FakeEngine
    ids: Sequence[str]

    def undo_data(self) -> dict[str, object]:
        present = sorted(self.engine.connected) if self.engine.tried else []
        return {"present": present, "files": {}}

    def apply(self) -> None:
        self.engine.tried.append(list(self.ids))
        if self.engine.ends_with_each_try:
            self.engine.running.discard(self.ids[0])
        gone = [identity for identity in self.ids if identity not in self.engine.running]
        if gone:
            raise EngineError(f"web-{gone[0]} does not run any more")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    one = FakeEngine({"1", "2", "3", "4"})

    @contextmanager
    def networks(_socket: str) -> Iterator[FakeEngine]:
        yield one

    monkeypatch.setattr("remedy.watch.joining.executor_for", one.executor_for)
    monkeypatch.setattr("remedy.watch.joining.engine_networks", networks)
    return one


def joined(directory: Path, action: ConnectNetwork) -> tuple[str, ...]:
    return join(Settings(directory, "unix:///nonexistent.sock"), [Join(action, directory, NOBODY)])


def test_all_join_and_are_remembered_for_the_runs_undo(engine: FakeEngine, tmp_path: Path) -> None:
    assert joined(tmp_path, connect("1", "2")) == ("as planned",)
    [item] = read_followed(tmp_path).actions
    assert [member.container_id for member in item.action.members] == ["1", "2"]


def test_who_ends_meanwhile_does_not_keep_the_others_out(engine: FakeEngine, tmp_path: Path) -> None:
    engine.running.discard("2")
    engine.connected = {"1"}  # by the first try
    assert joined(tmp_path, connect("1", "2", "3")) == ("connect web-1, web-3 to lb",)
    assert engine.tried == [["1", "2", "3"], ["1", "3"]]
    [item] = read_followed(tmp_path).actions
    assert item.undo["present"] == [], "who joined by the first try is no member from before"


def test_where_everybody_ends_meanwhile_nothing_is_told(engine: FakeEngine, tmp_path: Path) -> None:
    engine.running.clear()
    assert joined(tmp_path, connect("1", "2")) == ()


def test_what_changes_all_the_time_is_an_error_after_a_few_tries(engine: FakeEngine, tmp_path: Path) -> None:
    engine.ends_with_each_try = True
    with pytest.raises(EngineError, match="does not run"):
        joined(tmp_path, connect("1", "2", "3", "4"))


def test_what_fails_although_all_run_is_an_error(engine: FakeEngine, tmp_path: Path) -> None:
    def refuse(_executor: Executor) -> None:
        raise EngineError("Docker refuses the connection")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(EngineError, match="refuses"):
        patch.setattr(Executor, "apply", refuse)
        joined(tmp_path, connect("1"))


def test_threads_of_the_watcher_share_its_lock_and_keep_runs_out(tmp_path: Path) -> None:
    settings = Settings(tmp_path, "unix:///nonexistent.sock")
    lock = SharedLock(settings)
    waits, goes_on = threading.Event(), threading.Event()

    def long() -> None:
        with lock.hold():
            waits.set()
            goes_on.wait(10)

    thread = threading.Thread(target=long)
    thread.start()
    assert waits.wait(10)
    with lock.hold():  # at once, though the other one has it
        assert lock_is_held(settings)
    assert lock_is_held(settings), "the first holder still works"
    with lock.hold():
        goes_on.set()
        thread.join(10)
        assert lock_is_held(settings), "the second one still does"
    assert not lock_is_held(settings), "who gave it back is not who took it"


def test_a_run_at_work_keeps_the_watcher_out(tmp_path: Path) -> None:
    settings = Settings(tmp_path, "unix:///nonexistent.sock", lock_timeout_seconds=0.1)
    with host_lock(settings, "apply"), pytest.raises(LockHeldError), SharedLock(settings).hold():
        pass
    with SharedLock(settings).hold():
        pass
