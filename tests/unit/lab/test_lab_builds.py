"""Things are built once, whole or not at all, and what a killed builder left is cleaned up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from remedy.errors import LabError
from remedy.lab import requirements
from remedy.lab.builds import Workplace, build_once, clean_builds, heartbeat
from remedy.lab.interpreter import BindMount

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="cgroups are made by root")


def made_by(count: list[int], text: str = "x"):
    def make(workplace: Workplace) -> Path:
        count.append(1)
        (workplace.directory / "thing").write_text(text)
        return workplace.directory / "thing"

    return make


@needs_root
def test_a_thing_is_built_once(tmp_path: Path) -> None:
    count: list[int] = []
    for _ in range(2):
        assert build_once(tmp_path, "things", "a", made_by(count), print).read_text() == "x"
    assert len(count) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["things"]


@needs_root
def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def fail(workplace: Workplace) -> Path:
        (workplace.directory / "half").write_text("x")
        raise LabError("no")

    with pytest.raises(LabError):
        build_once(tmp_path, "things", "a", fail, print)
    assert list(tmp_path.iterdir()) == []


_BUILD = """
import sys, time
from pathlib import Path
from remedy.lab.builds import build_once
def make(workplace):
    (workplace.directory / "thing").write_text("x")
    print("building", flush=True)
    while not Path(sys.argv[2]).exists():
        time.sleep(0.01)
    return workplace.directory / "thing"
build_once(Path(sys.argv[1]), "things", "a", make, lambda line: print(line, flush=True))
"""


def builder(cache: Path, until: Path) -> subprocess.Popen[str]:
    """Builds until the file exists."""
    return subprocess.Popen([sys.executable, "-c", _BUILD, str(cache), str(until)], stdout=subprocess.PIPE, text=True)


@needs_root
def test_a_killed_builder_is_cleaned_up_after(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with builder(cache, tmp_path / "never") as process:
        assert process.stdout is not None and process.stdout.readline() == "building\n"
        assert clean_builds(cache) == []  # it is at work
        process.kill()
    assert clean_builds(cache) == ["things-a"]
    assert list(cache.iterdir()) == []


@needs_root
def test_two_builders_build_one_thing_and_the_second_is_told(tmp_path: Path) -> None:
    cache, go = tmp_path / "cache", tmp_path / "go"
    with builder(cache, go) as first:
        assert first.stdout is not None and first.stdout.readline() == "building\n"
        with builder(cache, go) as second:
            assert second.stdout is not None
            assert second.stdout.readline() == "waiting, another process builds things/a: 0 s\n"
            go.touch()
            assert "building" not in second.stdout.read().splitlines()
    assert (cache / "things/a").read_text() == "x"


def test_a_long_step_says_that_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remedy.lab.builds._HEARTBEAT_SECONDS", 0.01)
    lines: list[str] = []
    with heartbeat(lines.append, "building", lambda: "unpacking"):
        time.sleep(0.1)
    assert lines[0] == "building ..."
    assert lines[1] == "building: 0 s unpacking"


def test_everything_that_is_missing_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(requirements.shutil, "which", lambda name: None if name == "mmdebstrap" else name)
    with pytest.raises(LabError) as caught:
        requirements.check_machine()
    assert caught.value.why == "root is needed; the program mmdebstrap is missing (Debian package mmdebstrap)"


def test_a_mount_is_one_line_for_the_boot_script() -> None:
    assert BindMount("directory", "/a", "/b").line() == "directory\t/a\t/b\n"
