"""The journal: what a crash can do to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remedy.apply.journal import Journal, read_journal


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "run")
    journal.write("started", command="apply")
    journal.write("intent", "bridge", undo={"previous": None})
    journal.close()
    records = read_journal(journal.path)
    assert [(r.event, r.action, dict(r.data)) for r in records] == [
        ("started", None, {"command": "apply"}),
        ("intent", "bridge", {"undo": {"previous": None}}),
    ]
    assert journal.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kept", range(1, 40, 7))
def test_a_line_that_a_kill_cut_off_neither_counts_nor_spoils_the_next_one(tmp_path: Path, kept: int) -> None:
    journal = Journal.create(tmp_path / "run")
    journal.write("started")
    whole = journal.path.stat().st_size
    journal.write("intent", "bridge")
    journal.close()
    os.truncate(journal.path, whole + kept)
    assert [record.event for record in read_journal(journal.path)] == ["started"]

    again = Journal(journal.path)
    again.write("rollback-started")
    again.close()
    assert [record.event for record in read_journal(journal.path)] == ["started", "rollback-started"]


def test_a_record_for_which_the_disk_has_no_room_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.create(tmp_path / "run")
    journal.write("started")
    before = journal.path.read_bytes()
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:10]))
    with pytest.raises(OSError, match="whole"):
        journal.write("intent", "bridge")
    assert journal.path.read_bytes() == before


def test_no_journal_is_an_empty_one(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "journal.jsonl") == ()
