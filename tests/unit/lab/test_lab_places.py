"""Where a lab keeps things, who holds its locks, and how paths of a host are followed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from remedy.errors import LabError
from remedy.lab.inner_paths import UpperLayer, resolve_inside
from remedy.lab.layout import check_host_name, find_layout, tag_of, unified_hierarchy
from remedy.lab.locks import locked, try_lock
from remedy.lab.records import (
    FIRST_HOST_NUMBER,
    Owner,
    boot_id,
    free_number,
    read_claim,
    read_record,
    started_ticks,
    this_process,
    uptime_seconds,
)
from remedy.lab.rootfs import debian_mirror
from remedy.lab.view import duration


@pytest.mark.parametrize("name", ["", "1a", "A", "a_b", "a/b", "..", "external", "a" * 32, "a\n"])
def test_names_that_cannot_be_hostnames_are_refused(name: str) -> None:
    with pytest.raises(LabError):
        check_host_name(name)


def test_two_directories_are_two_labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMEDY_LAB_DIR", str(tmp_path / "a"))
    first = find_layout()
    monkeypatch.setenv("REMEDY_LAB_DIR", str(tmp_path / "b"))
    assert first.cgroup != find_layout().cgroup
    assert first.cgroup.name == f"remedy-lab-{tag_of(tmp_path / 'a')}"


def test_the_host_of_another_version_keeps_its_number_and_its_owner(tmp_path: Path) -> None:
    """Its topology has a key that is not known here; its address was given away once more, and its cable was there."""
    layout = find_layout(tmp_path)
    place = layout.host_directory("other")
    place.mkdir(parents=True)
    owner = this_process().model_dump()
    known = {"name": "other", "number": FIRST_HOST_NUMBER, "owner": owner, "topology": {"of tomorrow": 1}}
    (place / "host.json").write_text(json.dumps(known))

    assert read_record(layout, "other") is None
    claim = read_claim(layout, "other")
    assert claim is not None and not claim.is_orphan
    assert free_number(layout) == FIRST_HOST_NUMBER + 1


@pytest.mark.parametrize("name", ["with blank", "with,comma", "with:colon"])
def test_directories_that_mounts_cannot_name_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LabError, match="cannot hold a lab"):
        find_layout(tmp_path / name)


def test_the_unified_hierarchy_is_found_beside_version_one(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "30 27 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
        "36 27 0:33 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n"
    )
    assert unified_hierarchy(mounts) == Path("/sys/fs/cgroup/unified")
    mounts.write_text("30 27 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n")
    with pytest.raises(LabError, match="unified cgroup hierarchy"):
        unified_hierarchy(mounts)


def test_a_lock_excludes_other_processes_and_ends_with_its_holder(tmp_path: Path) -> None:
    script = "import sys, time; from pathlib import Path; from remedy.lab.locks import try_lock\n"
    script += "print(try_lock(Path(sys.argv[1])) is not None, flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline() == b"True\n"
    assert try_lock(tmp_path) is None
    holder.kill()
    holder.wait()
    holder.stdout.close()
    descriptor = try_lock(tmp_path)
    assert descriptor is not None
    os.close(descriptor)


def test_a_lock_may_remove_its_directory(tmp_path: Path) -> None:
    directory = tmp_path / "deep" / "lock"
    for _ in range(2):
        with locked(directory, create=True):
            directory.rmdir()
    with pytest.raises(FileNotFoundError), locked(directory):
        pass


def test_paths_are_followed_inside_the_root(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "var").mkdir()
    (tmp_path / "var/run").symlink_to("/run")
    (tmp_path / "up").symlink_to("../../../run")
    (tmp_path / "round").symlink_to("round")
    assert resolve_inside(tmp_path, "/var/run/x/y") == tmp_path / "run/x/y"
    assert resolve_inside(tmp_path, "/up/x") == tmp_path / "run/x"
    assert resolve_inside(tmp_path, "/../../etc") == tmp_path / "etc"
    assert resolve_inside(tmp_path, "/var/run", follow_last=False) == tmp_path / "var/run"
    with pytest.raises(LabError, match="symbolic links"):
        resolve_inside(tmp_path, "/round")


def test_the_upper_layer_respects_links_and_modes_below(tmp_path: Path) -> None:
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    (lower / "usr/lib").mkdir(parents=True)
    (lower / "root").mkdir(mode=0o700)
    (lower / "lib").symlink_to("usr/lib")
    upper.mkdir()
    layer = UpperLayer(lower, upper)
    layer.write("/lib/a/b", "x", 0o600)
    layer.write("/root/.profile", "y")
    layer.link("/lib", "elsewhere")
    assert (upper / "usr/lib/a/b").read_text() == "x"
    assert (upper / "usr/lib/a/b").stat().st_mode & 0o777 == 0o600
    assert (upper / "root").stat().st_mode & 0o777 == 0o700
    assert os.readlink(upper / "lib") == "elsewhere"
    assert layer.exists("/usr/lib/a/b") and not layer.exists("/usr/lib/c")


def test_a_recycled_process_number_is_not_the_owner() -> None:
    me = this_process()
    assert me.is_alive
    assert not Owner(pid=me.pid, started=me.started + 1, boot_id=me.boot_id).is_alive
    assert not Owner(pid=me.pid, started=me.started, boot_id="another boot").is_alive
    assert me.boot_id == boot_id()


def test_a_process_has_an_uptime_while_it_lives() -> None:
    child = subprocess.Popen(["sleep", "60"])
    uptime = uptime_seconds(child.pid)
    assert uptime is not None and 0 <= uptime < 30
    child.kill()
    child.wait()
    assert started_ticks(child.pid) is None and uptime_seconds(child.pid) is None


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("sources.list", "deb [arch=amd64] http://mirror/debian bookworm main\n", ["http://mirror/debian"]),
        ("sources.list", "# deb http://old/debian x main\ndeb http://mirror/other x main\n", []),
        (
            "sources.list.d/debian.sources",
            "Types: deb\n# URIs: http://old/debian\nURIs: http://mirror/debian/\n",
            ["http://mirror/debian/"],
        ),
    ],
)
def test_packages_come_from_the_machines_own_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, expected: list[str]
) -> None:
    monkeypatch.delenv("REMEDY_LAB_MIRROR", raising=False)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert debian_mirror(tmp_path) == expected
    monkeypatch.setenv("REMEDY_LAB_MIRROR", "http://named/debian")
    assert debian_mirror(tmp_path) == ["http://named/debian"]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, "-"), (0.4, "0s"), (61, "1m 1s"), (3600, "1h 0m"), (90061, "1d 1h")]
)
def test_durations_have_two_units(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown
