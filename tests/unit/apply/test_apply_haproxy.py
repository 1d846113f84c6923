"""haproxy's configuration in apply and rollback: proved writable, edits of others found, undone by hand."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from remedy.apply import preflight
from remedy.apply.by_hand import commands_by_hand
from remedy.apply.foreign import foreign_changes, foreign_differences, keep_foreign_files
from remedy.apply.preflight import check_can_work
from remedy.apply.runs import Run
from remedy.cli.views.filediff import FileHistory
from remedy.errors import InputError, StalePlanError
from remedy.facts.model import HostFacts
from remedy.plan.actions import ConfigFile, FileContent, RewireHaproxy
from remedy.plan.model import Plan

Journalled = Callable[..., Run]
ORIGINAL = b"backend api\n server api1 172.17.0.1:5001\n"
TARGET = b"backend api\n server api1 api-1:8080\n"
SERVERS = {"servers": {"api/api1": ["172.17.0.1", 5001, 0]}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "haproxy.cfg"
    found.write_bytes(ORIGINAL)
    return found


@pytest.fixture
def rewire(path: Path) -> RewireHaproxy:
    status = path.stat()
    was = FileContent(path=str(path), raw=ORIGINAL, mode=0o644, uid=os.getuid(), gid=os.getgid())
    file = ConfigFile(
        path="/etc/haproxy.cfg",
        original=was,
        content=was.model_copy(update={"raw": TARGET}),
        device=status.st_dev,
        inode=status.st_ino,
    )
    texts = dict.fromkeys(("summary", "reason", "before", "after", "inverse"), "x")
    return RewireHaproxy(
        id="rewire", container="lb 1", container_id="0" * 64, network="lb", files=(file,), servers=(), **texts
    )


@pytest.fixture
def plan(plan: Plan, rewire: RewireHaproxy) -> Plan:
    return plan.model_copy(update={"actions": (*plan.actions[:1], rewire)})


def test_an_edit_after_apply_is_named_shown_three_ways_and_kept(journalled: Journalled, path: Path) -> None:
    run = journalled("started", ("intent", "rewire"), "committed")
    path.write_bytes(TARGET)
    assert foreign_changes(run, None) == ()
    path.write_bytes(TARGET + b" server mine 10.0.0.1:80\n")
    assert foreign_changes(run, None) == (f"{path} was edited since",)
    shown = foreign_differences(run)
    assert "- server api1 172.17.0.1:5001" in shown
    assert "+ server api1 api-1:8080" in shown
    assert "+ server mine 10.0.0.1:80" in shown
    assert f"+++ {path} now" in shown
    (kept,) = keep_foreign_files(run)
    assert kept.read_bytes() == path.read_bytes()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_an_editor_that_renames_is_such_a_change_too(journalled: Journalled, path: Path) -> None:
    run = journalled("started", ("intent", "rewire"), "committed")
    path.rename(path.with_name("old"))
    path.write_bytes(TARGET)
    assert foreign_changes(run, None) == (f"{path} was replaced by another file since",)
    (kept,) = keep_foreign_files(run)
    assert kept.read_bytes() == TARGET


def test_a_torn_write_of_remedys_own_is_nobody_elses(journalled: Journalled, path: Path) -> None:
    run = journalled("started", ("intent", "rewire"))
    path.write_bytes(TARGET[:30] + ORIGINAL[30:])
    assert foreign_changes(run, None) == ()
    assert foreign_differences(run) == ()


def test_a_file_that_is_reverted_already_is_of_no_concern(journalled: Journalled, path: Path) -> None:
    run = journalled("started", ("intent", "rewire"), "committed", ("reverted", "rewire"))
    path.write_bytes(b"mine")
    assert foreign_changes(run, None) == ()


def test_it_is_proved_before_anything_is_changed_that_the_file_can_be_written(
    plan: Plan, facts: HostFacts, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = plan.model_copy(update={"actions": plan.actions[-1:]})
    check_can_work(only, facts, None)  # type: ignore[arg-type]
    assert path.read_bytes() == ORIGINAL

    def read_only(_file: ConfigFile) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(preflight.config_file, "check_writable", read_only)
    with pytest.raises(InputError, match="cannot be written") as raised:
        check_can_work(only, facts, None)  # type: ignore[arg-type]
    assert raised.value.why == "Read-only file system"


def test_a_file_that_was_replaced_makes_the_plan_stale(plan: Plan, facts: HostFacts, path: Path) -> None:
    path.rename(path.with_name("old"))
    path.write_bytes(ORIGINAL)
    with pytest.raises(StalePlanError):
        check_can_work(plan.model_copy(update={"actions": plan.actions[-1:]}), facts, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "last"),
    [
        ({}, "pkill -USR2 -o -x haproxy --ns $(docker inspect -f '{{.State.Pid}}' 'lb 1') --nslist pid"),
        ({"how": "restart"}, "docker restart 'lb 1'"),
        ({"container": None, "container_id": None, "unit": "haproxy.service"}, "systemctl reload haproxy.service"),
    ],
)
def test_by_hand_the_same_file_is_written_and_haproxy_told(
    rewire: RewireHaproxy, path: Path, change: dict[str, object], last: str
) -> None:
    write, told = commands_by_hand(rewire.model_copy(update=change), SERVERS)
    inode = path.stat().st_ino
    path.write_bytes(TARGET)
    subprocess.run(["sh", "-ec", write], check=True)
    assert (path.read_bytes(), path.stat().st_ino) == (ORIGINAL, inode)
    assert told == last


@pytest.mark.parametrize("socket", ["/run/haproxy.sock", "127.0.0.1:9999"])
def test_by_hand_the_runtime_api_is_asked_where_nothing_else_is_left(rewire: RewireHaproxy, socket: str) -> None:
    by_socket = rewire.model_copy(update={"how": "runtime", "files": (), "runtime_socket": socket})
    (line,) = commands_by_hand(by_socket, SERVERS)
    assert "'set server api/api1 addr 172.17.0.1 port 5001'" in line
    assert subprocess.run(["bash", "-n"], input=line, text=True, check=False).returncode == 0
    assert "\n" not in line


def test_the_plan_shows_the_difference_of_each_file(rewire: RewireHaproxy) -> None:
    lines = [line for line, _ in FileHistory().changes(rewire.model_dump(mode="json"))]
    assert lines[0] == rewire.files[0].content.path
    assert "- server api1 172.17.0.1:5001" in lines
    assert "+ server api1 api-1:8080" in lines


def test_passwords_of_the_file_are_in_no_command_but_its_own(rewire: RewireHaproxy) -> None:
    encoded = base64.b64encode(ORIGINAL).decode()
    assert [encoded in line for line in commands_by_hand(rewire, SERVERS)] == [True, False]
