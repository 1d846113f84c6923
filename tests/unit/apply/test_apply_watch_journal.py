"""What the watcher did, as history tells it; and what uninstall removes."""

from __future__ import annotations

from pathlib import Path

import pytest

from remedy.apply.history import history_report
from remedy.apply.settings import Settings
from remedy.apply.uninstall import uninstall
from remedy.apply.watch_journal import KEPT_LINES, WatchJournal, transactions, was_cut_off


def test_each_transaction_is_a_line_of_history(tmp_path: Path) -> None:
    journal = WatchJournal(tmp_path)
    well = journal.begin("run-1", ["web died"], ["hairpin rules: -5001"])
    journal.end(well)
    badly = journal.begin("run-1", ["web started"], ["hairpin rules: +5001"])
    journal.end(badly, "nft failed")
    cut = journal.begin("run-1", ["web died"], ["hairpin rules: -5001"])
    entries = {entry.run: entry for entry in history_report(Settings(tmp_path, "unix:///nowhere")).runs}
    assert [entries[one].result for one in (well, badly, cut)] == ["applied", "failed", "interrupted"]
    assert entries[well].summary == "hairpin rules: -5001 [web died]"
    assert {(entry.command, entry.of_run) for entry in entries.values()} == {("watch", "run-1")}


def test_one_that_was_cut_off_is_settled_by_the_next_watcher(tmp_path: Path) -> None:
    journal = WatchJournal(tmp_path)
    assert not was_cut_off(tmp_path)
    journal.begin("run-1", [], [])
    assert was_cut_off(tmp_path)
    WatchJournal(tmp_path).settle()
    assert not was_cut_off(tmp_path)
    assert transactions(tmp_path)[-1].end == "interrupted"


def test_a_network_that_was_being_joined_leaves_no_doubt_about_the_rules(tmp_path: Path) -> None:
    journal = WatchJournal(tmp_path)
    journal.begin("run-1", [], ["connect web to lb"], writes_rules=False)
    assert not was_cut_off(tmp_path)
    rules = journal.begin("run-1", [], ["hairpin rules"])
    journal.begin("run-1", [], ["connect web to lb"], writes_rules=False)
    assert was_cut_off(tmp_path)
    journal.end(rules)
    assert not was_cut_off(tmp_path)


def test_the_journal_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remedy.apply.watch_journal.MOST_BYTES", 20_000)
    monkeypatch.setattr("os.fsync", lambda _: None)
    journal = WatchJournal(tmp_path)
    for number in range(KEPT_LINES):
        journal.end(journal.begin("run-1", [f"web-{number} died"], ["rules"]))
    assert len((tmp_path / "watch.jsonl").read_bytes().splitlines()) <= KEPT_LINES + 200
    assert transactions(tmp_path)[-1].why == (f"web-{KEPT_LINES - 1} died",)


def test_uninstall_removes_what_is_remedys_and_names_what_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remedy.apply.uninstall.check_may_change", lambda *_: None)
    monkeypatch.setattr("remedy.apply.uninstall.installed_units", lambda: ("remedy-watch.service",))
    removed = []
    monkeypatch.setattr("remedy.apply.uninstall.remove_unit", lambda unit: removed.append(unit) or True)
    state = tmp_path / "state"
    (state / "rules").mkdir(parents=True)
    (state / "rules" / "hairpin.json").write_text("{}")
    (state / "notes.txt").write_text("mine")
    done = uninstall(Settings(state, "unix:///nowhere"), force=False, on_event=lambda _: None)
    assert done.units == tuple(removed) == ("remedy-watch.service",)
    assert done.left == (str(state / "notes.txt"),)
    (state / "notes.txt").unlink()
    uninstall(Settings(state, "unix:///nowhere"), force=False, on_event=lambda _: None)
    assert not state.exists()
