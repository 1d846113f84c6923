"""The candidate: how haproxy is asked about it, and where it lies meanwhile."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from remedy.errors import HaproxyError
from remedy.haproxy.candidate import check_arguments, environment_for_check
from remedy.haproxy.mirror import NAME, Mirror, mirrored, remove_leftovers


@pytest.mark.parametrize(
    ("line", "check"),
    [
        ("haproxy -W -db -f a.cfg", "-c -f A.CFG"),
        ("haproxy -Ws -f a -f b -p /run/pid -S /run/m.sock", "-c -f A -f B"),
        ("haproxy -sf 12 13 -x sockpair@4 -W -f a", "-c -f A"),
        ("haproxy -sf 12 -f a -st 3 4", "-c -f A"),
        (
            "haproxy -C /etc -L peer1 -n 100 -N 50 -m 64 -f a -- b c",
            "-c -C /etc -L peer1 -n 100 -N 50 -m 64 -f A -- B C",
        ),
        ("haproxy -D -q -V -dr -dM0x50 -f a", "-c -dr -dM0x50 -f A"),
        ("haproxy", "-c"),
    ],
)
def test_a_check_is_asked_as_haproxy_was_started(line: str, check: str) -> None:
    assert check_arguments(line.split(), str.upper) == check.split()


def test_what_haproxy_tells_itself_over_a_reload_is_kept_from_the_check() -> None:
    told = {
        "API": "172.17.0.1:5001",
        "HAPROXY_LOCALPEER": "lb",
        "HAPROXY_MWORKER_REEXEC": "1",
        "HAPROXY_MWORKER_WAIT_ONLY": "1",
        "HAPROXY_PROCESSES": "x",
        "NOTIFY_SOCKET": "/run/x",
    }
    with subprocess.Popen(["sh", "-c", "echo; exec cat"], env=told, stdin=-1, stdout=-1) as process:
        assert process.stdout is not None
        process.stdout.readline()  # its environment is there only when it runs
        found = environment_for_check(process.pid)
        process.communicate()
    found.pop("PWD", None)
    assert found == {"API": "172.17.0.1:5001", "HAPROXY_LOCALPEER": "lb"}


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    for directory in ("dev/shm", "etc/conf.d", "etc/certs"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "etc/haproxy.cfg").write_text("old")
    (tmp_path / "etc/conf.d/10.cfg").write_text("old")
    (tmp_path / "etc/conf.d/20.cfg").write_text("stays")
    descriptor = os.open(tmp_path, os.O_PATH)
    yield descriptor
    os.close(descriptor)


def test_changed_files_are_laid_beside_links_to_the_rest_and_are_gone_afterwards(root: int, tmp_path: Path) -> None:
    contents = {"/etc/haproxy.cfg": b"new", "/etc/conf.d/10.cfg": b"newer"}
    base = tmp_path / "dev/shm" / NAME
    with mirrored(root, contents, uid=os.getuid(), gid=os.getgid()) as mirror:
        assert stat.S_IMODE(base.stat().st_mode) == 0o700
        assert mirror.path_of("/etc/haproxy.cfg", contents) == f"/dev/shm/{NAME}/0/haproxy.cfg"
        assert mirror.path_of("/etc/conf.d", contents) == f"/dev/shm/{NAME}/1"
        assert mirror.path_of("/other.cfg", contents) == "/other.cfg"
        assert (base / "0/haproxy.cfg").read_bytes() == b"new"
        assert os.readlink(base / "0/certs") == "/etc/certs"
        assert os.readlink(base / "1/20.cfg") == "/etc/conf.d/20.cfg"
        assert stat.S_IMODE((base / "1/10.cfg").stat().st_mode) == 0o400
    assert not base.exists()


def test_haproxys_words_have_the_names_that_the_operator_knows() -> None:
    mirror = Mirror("/dev/shm/x", ["/etc/haproxy", "/etc/haproxy/conf.d"])
    said = "[ALERT] parsing [/dev/shm/x/0/haproxy.cfg:7] and [/dev/shm/x/1/10.cfg:1]"
    assert mirror.real_names(said) == "[ALERT] parsing [/etc/haproxy/haproxy.cfg:7] and [/etc/haproxy/conf.d/10.cfg:1]"


def test_what_a_kill_has_left_is_removed_and_a_link_in_its_place_is_not_followed(root: int, tmp_path: Path) -> None:
    left = tmp_path / "dev/shm" / NAME
    left.mkdir()
    (left / "secret").write_text("x")
    remove_leftovers(root)
    assert not left.exists()
    left.symlink_to(tmp_path / "etc")
    with mirrored(root, {"/etc/haproxy.cfg": b"new"}, uid=os.getuid(), gid=os.getgid()):
        assert not left.is_symlink()
    assert (tmp_path / "etc/haproxy.cfg").read_text() == "old"


def test_a_container_without_a_place_to_write_is_told(root: int, tmp_path: Path) -> None:
    (tmp_path / "dev/shm").rmdir()
    with (
        pytest.raises(HaproxyError, match="no place"),
        mirrored(root, {"/etc/haproxy.cfg": b"new"}, uid=os.getuid(), gid=os.getgid()),
    ):
        pass
