"""One remedy at a time."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from remedy.apply.lock import PATIENCE_SECONDS, WATCHER, host_lock, lock_is_held
from remedy.apply.settings import Settings
from remedy.errors import InputError, LockHeldError


def settings(directory: Path) -> Settings:
    return Settings(directory, "unix:///nowhere")


def test_a_second_one_is_told_who_holds_it(tmp_path: Path) -> None:
    with host_lock(settings(tmp_path), "apply"):
        assert lock_is_held(settings(tmp_path))
        with pytest.raises(LockHeldError) as told, host_lock(settings(tmp_path), "rollback"):
            pass
    assert "has been doing `apply`" in str(told.value.why)
    assert not lock_is_held(settings(tmp_path))
    assert not (tmp_path / "lock-holder.json").exists()


def test_looking_whether_it_is_held_does_not_make_anybody_give_up(tmp_path: Path) -> None:
    with host_lock(settings(tmp_path), "apply"):
        pass  # makes the file
    over = time.monotonic() + 1

    def look() -> None:
        while time.monotonic() < over:
            lock_is_held(settings(tmp_path))

    watchers = [threading.Thread(target=look) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    try:
        for _ in range(20):
            with host_lock(settings(tmp_path), "apply"):
                pass
    finally:
        for watcher in watchers:
            watcher.join()


def test_the_note_of_a_dead_holder_means_nothing(tmp_path: Path) -> None:
    (tmp_path / "lock-holder.json").write_text(json.dumps({"pid": 1, "doing": "apply", "since": "yesterday"}))
    assert not lock_is_held(settings(tmp_path))
    with host_lock(settings(tmp_path), "rollback"):
        pass


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as told, host_lock(settings(tmp_path / "file" / "state"), "apply"):
        pass
    assert told.value.where == str(tmp_path / "file" / "state")
    assert told.value.why == "Not a directory"


def test_a_link_in_place_of_its_note_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    state = tmp_path / "state"
    state.mkdir()
    (state / "lock-holder.json").symlink_to(victim)
    with host_lock(settings(state), "apply"):
        pass
    assert victim.read_text() == "precious"


def test_the_watchers_transaction_is_waited_for(tmp_path: Path) -> None:
    held, free = threading.Event(), threading.Event()

    def transaction() -> None:
        with host_lock(settings(tmp_path), WATCHER):
            held.set()
            free.wait(5)

    watcher = threading.Thread(target=transaction)
    watcher.start()
    held.wait(5)
    threading.Timer(PATIENCE_SECONDS * 3, free.set).start()
    with host_lock(settings(tmp_path), "apply"):
        assert free.is_set()
    watcher.join()


def test_but_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remedy.apply.lock.WATCHER_PATIENCE_SECONDS", 0.5)
    with host_lock(settings(tmp_path), WATCHER):
        with pytest.raises(LockHeldError) as told, host_lock(settings(tmp_path), "apply"):
            pass
        assert "has been doing `watch`" in str(told.value.why)
