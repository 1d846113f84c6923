"""The sized table in status, before a rollback, and before an apply."""

from __future__ import annotations

from pathlib import Path

import pytest

from remedy.actions.context import ActionContext
from remedy.apply.foreign import foreign_changes, keep_foreign_files
from remedy.apply.journal import Journal, read_journal
from remedy.apply.preflight import check_can_work
from remedy.apply.runs import Run
from remedy.apply.settings import Settings
from remedy.apply.status import status_report
from remedy.errors import InputError, RefusedError
from remedy.facts.model import ConntrackSizing, HostFacts, KeptFile
from remedy.host import sysctls
from remedy.host.conntrack_settings import MAXIMUM, TIME_WAIT, setting_path
from remedy.plan.actions import FileContent, SizeConntrack
from remedy.plan.model import Plan
from remedy.plan.plan_file import save_plan

VALUES = {TIME_WAIT: "30", MAXIMUM: "524288"}
PREVIOUS = {TIME_WAIT: "120", MAXIMUM: "262144"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "etc" / "99-zz-remedy-conntrack.conf"


@pytest.fixture
def plan(plan: Plan, file: Path) -> Plan:
    action = SizeConntrack(
        id="conntrack", summary="s", reason="r", before="b", after="a", inverse="i", values=VALUES, previous=PREVIOUS,
        files=(FileContent(path=str(file), raw=b"ours\n"),), original_files=(FileContent(path=str(file), raw=None),),
    )  # fmt: skip
    return plan.model_copy(update={"actions": (action,)})


@pytest.fixture
def run(tmp_path: Path, plan: Plan) -> Run:
    directory = tmp_path / "state" / "runs" / "20261123-120000-abcd"
    journal = Journal.create(directory)
    save_plan(plan, directory / "plan.json")
    for event, action in (("started", None), ("intent", "conntrack"), ("done", "conntrack"), ("committed", None)):
        journal.write(event, action)
    journal.close()
    return Run(directory.name, directory, read_journal(directory / "journal.jsonl"))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path) -> Path:
    monkeypatch.setattr(sysctls, "PROC_SYS", tmp_path / "sys")
    for name, value in VALUES.items():
        setting_path(name).parent.mkdir(parents=True, exist_ok=True)
        setting_path(name).write_text(value + "\n")
    file.parent.mkdir()
    file.write_bytes(b"ours\n")
    return tmp_path


def facts_of(facts: HostFacts, file: Path, raw: bytes | None, **values: str) -> HostFacts:
    sizing = ConntrackSizing(
        writable=tuple(VALUES), bytes_per_entry=256, bucket_step=512, memory_bytes=None,
        own_files=(KeptFile(path=str(file), raw=raw),),
    )  # fmt: skip
    conntrack = facts.conntrack.model_copy(update={"sizing": sizing, "count": 1000})
    read = {**VALUES, **{{"time_wait": TIME_WAIT, "max": MAXIMUM}[key]: value for key, value in values.items()}}
    return facts.model_copy(update={"conntrack": conntrack, "sysctls": {**facts.sysctls, **read}})


def test_status_tells_who_changed_what(run: Run, facts: HostFacts, file: Path, tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state", socket=facts.engine.socket)
    for found in (facts_of(facts, file, b"ours\n"),):
        assert status_report(found, None, settings).drift == ()
    drift = status_report(facts_of(facts, file, None, time_wait="120"), None, settings).drift
    assert [(d.where, d.expected, d.found) for d in drift] == [
        (TIME_WAIT, "30", "120"),
        (str(file), "the bytes that remedy left", "no file"),
    ]


def test_what_remedy_left_and_what_was_before_it_is_nobodys(run: Run, root: Path, file: Path) -> None:
    assert foreign_changes(run, None) == ()
    setting_path(TIME_WAIT).write_text("120\n")
    file.unlink()
    assert foreign_changes(run, None) == ()


def test_other_values_and_bytes_are_somebodys_and_kept(run: Run, root: Path, file: Path) -> None:
    setting_path(MAXIMUM).write_text("900000\n")
    file.write_bytes(b"theirs\n")
    assert foreign_changes(run, None) == (
        f"{MAXIMUM} is 900000, neither what remedy wrote (524288) nor what was there before",
        f"{file} was edited since",
    )
    (copy,) = keep_foreign_files(run)
    assert copy.read_bytes() == b"theirs\n"


def test_a_table_that_filled_up_since_the_plan_stops_the_apply(
    plan: Plan, facts: HostFacts, root: Path, file: Path
) -> None:
    context = ActionContext.for_host(facts.engine.socket, root / "state")
    check_can_work(plan, facts_of(facts, file, None), context)
    full = facts_of(facts, file, None)
    full = full.model_copy(update={"conntrack": full.conntrack.model_copy(update={"count": 600_000})})
    with pytest.raises(RefusedError, match="600000 are in it now"):
        check_can_work(plan, full, context)


def test_a_link_in_the_place_of_the_file_stops_the_apply(plan: Plan, facts: HostFacts, root: Path, file: Path) -> None:
    file.unlink()
    file.symlink_to("/etc/passwd")
    with pytest.raises(InputError, match="symbolic link"):
        check_can_work(plan, facts_of(facts, file, None), ActionContext.for_host(facts.engine.socket, root / "state"))
