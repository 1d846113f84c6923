"""Where haproxy's files lie on the host, and how haproxy can be spoken to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remedy.facts.container_files import read_with_status
from remedy.facts.haproxy import read_haproxies
from remedy.facts.haproxy_files import describe_file, path_on_host
from remedy.facts.haproxy_traits import Traits, has_master_worker_option, master_socket
from remedy.facts.model import Container, Mount
from remedy.facts.processes import Process

FILE = "/usr/local/etc/haproxy/haproxy.cfg"


def mount(source: str, destination: str, kind: str = "bind") -> Mount:
    return Mount(kind=kind, source=source, destination=destination, writable=False)


def container(*mounts: Mount) -> Container:
    return Container(
        id="lb",
        name="lb",
        image="haproxy",
        state="running",
        pid=1,
        started_at="",
        restart_policy="no",
        network_mode="bridge",
        labels={},
        endpoints=(),
        ports=(),
        mounts=mounts,
    )


@pytest.mark.parametrize(
    ("mounts", "path"),
    [
        ([], None),
        ([mount("/srv/haproxy.cfg", FILE)], "/srv/haproxy.cfg"),
        ([mount("/srv/lb", "/usr/local/etc/haproxy/")], "/srv/lb/haproxy.cfg"),
        ([mount("/srv/lb", "/usr/local/etc/haproxy"), mount("/srv/x.cfg", FILE)], "/srv/x.cfg"),
        ([mount("/srv/all", "/")], f"/srv/all{FILE}"),
        ([mount("/srv/other", "/usr/local/etc/hap")], None),
        ([mount("/var/lib/docker/volumes/v/_data", "/usr/local/etc/haproxy", "volume")], None),
        ([mount("/srv/lb", "/usr"), mount("", "/usr/local/etc/haproxy", "tmpfs")], None),
        ([mount("name-of-a-plugin", "/usr/local/etc/haproxy", "volume")], None),
    ],
)
def test_the_longest_mount_over_a_file_says_where_it_lies_on_the_host(mounts: list[Mount], path: str | None) -> None:
    expected = "/var/lib/docker/volumes/v/_data/haproxy.cfg" if mounts and "volumes" in mounts[0].source else path
    assert path_on_host(FILE, mounts) == expected


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A container's root, and a directory of the host with the same file as a bind mount would show it."""
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "host").mkdir()
    (tmp_path / "host/haproxy.cfg").write_bytes(b"global\r\n")
    (tmp_path / "root/etc/haproxy.cfg").hardlink_to(tmp_path / "host/haproxy.cfg")
    (tmp_path / "host/haproxy.cfg").chmod(0o640)
    return tmp_path


def described(place: Path, path: str = "/etc/haproxy.cfg"):
    root = os.open(place / "root", os.O_PATH)
    try:
        file = read_with_status(root, path, 1000)
    finally:
        os.close(root)
    return describe_file(path, file, container(mount(f"{place}/host", "/etc")))


def test_a_file_is_known_on_both_sides(place: Path) -> None:
    found = described(place)
    assert (found.raw, found.mode, found.uid) == (b"global\r\n", 0o640, os.getuid())
    assert found.host_path == f"{place}/host/haproxy.cfg"
    assert (found.host_device, found.host_inode) == (found.device, found.inode)


def test_an_editor_that_renames_is_seen(place: Path) -> None:
    (place / "host/new").write_bytes(b"new")
    (place / "host/new").rename(place / "host/haproxy.cfg")
    found = described(place)
    assert found.raw == b"global\r\n"
    assert found.host_inode == (place / "host/haproxy.cfg").stat().st_ino
    assert found.host_inode != found.inode


def test_a_link_in_the_place_of_the_file_is_not_followed_and_a_missing_file_is_none(place: Path) -> None:
    (place / "host/haproxy.cfg").unlink()
    assert described(place).host_inode is None
    (place / "host/haproxy.cfg").symlink_to(place / "root/etc/haproxy.cfg")
    found = described(place)
    assert found.host_inode == (place / "host/haproxy.cfg").lstat().st_ino
    assert found.host_inode != found.inode


def test_a_link_inside_the_container_is_resolved_before_the_mounts_are_asked(place: Path) -> None:
    (place / "root/config").symlink_to("etc/haproxy.cfg")
    found = described(place, "/config")
    assert (found.path, found.host_path) == ("/config", f"{place}/host/haproxy.cfg")


def traits(text: str) -> Traits:
    found = Traits()
    found.read(text, {"DIR": "/run"})
    return found


@pytest.mark.parametrize(
    ("line", "address", "level"),
    [
        ("stats socket /run/h.sock", "/run/h.sock", "operator"),
        ("\tstats  socket unix@/run/h.sock mode 600 level admin", "/run/h.sock", "admin"),
        ("stats socket ipv4@127.0.0.1:9999 level user", "127.0.0.1:9999", "user"),
        ("stats socket 127.0.0.1:9999 level admin expose-fd listeners", "127.0.0.1:9999", "admin"),
        ('stats socket "${DIR}/h.sock" user haproxy level admin', "/run/h.sock", "admin"),
        ("stats socket /run/h.sock level nonsense", "/run/h.sock", "operator"),
        ("stats socket abns@x level admin", "abns@x", "admin"),
    ],
)
def test_sockets_of_the_runtime_api_are_found(line: str, address: str, level: str) -> None:
    (found,) = traits(f"global\n{line}\n").sockets
    assert (found.address, found.level) == (address, level)


def test_other_lines_with_these_words_are_none() -> None:
    found = traits("frontend f\n stats enable\n stats uri /socket\n # stats socket /x\n stats socket '\n")
    assert found == Traits()


def test_master_worker_and_hard_stop_after_are_read_from_global() -> None:
    found = traits("global\n  master-worker\n  hard-stop-after 30s\n")
    assert (found.is_master_worker, found.hard_stop_after) == (True, "30s")
    assert not traits("global\n master-worker no-exit-on-failure\n no master-worker\n").is_master_worker


@pytest.mark.parametrize(
    ("line", "is_master_worker", "socket"),
    [
        ("haproxy -W -db -f x", True, None),
        ("haproxy -Ws -S /run/m.sock -f x", True, "/run/m.sock"),
        ("haproxy -S unix@/run/m.sock,level,operator -f x", False, "/run/m.sock"),
        ("haproxy -W -S 127.0.0.1:1234", True, "127.0.0.1:1234"),
        ("haproxy -f x -S", False, None),
        ("haproxy -D -f -W", True, None),
    ],
)
def test_the_command_line_says_how_it_runs(line: str, is_master_worker: bool, socket: str | None) -> None:
    assert has_master_worker_option(line.split()) is is_master_worker
    assert master_socket(line.split()) == socket


def test_a_haproxy_of_the_host_is_described_whole(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text("global\n stats socket /run/a.sock level admin\n master-worker\n")
    (tmp_path / "b.cfg").write_text("backend b\n server b1 10.0.0.1:80\n")
    arguments = ("haproxy", "-S", "/run/m.sock", "-f", f"{tmp_path}/a.cfg", "-f", f"{tmp_path}/b.cfg")
    master = Process(os.getpid(), 1, "haproxy", arguments)
    worker = Process(1 << 22, os.getpid(), "haproxy", arguments)

    (found,) = read_haproxies([master, worker], [])

    assert [file.host_path for file in found.files] == [f"{tmp_path}/a.cfg", f"{tmp_path}/b.cfg"]
    assert all(file.inode == file.host_inode for file in found.files)
    assert found.program == os.readlink("/proc/self/exe")
    assert (found.arguments, found.working_directory) == (arguments, str(Path.cwd()))
    assert (found.is_master_worker, found.master_socket) == (True, "/run/m.sock")
    assert [socket.address for socket in found.sockets] == ["/run/a.sock"]


def test_a_master_without_a_worker_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text("global\n master-worker\n")
    (found,) = read_haproxies([Process(os.getpid(), 1, "haproxy", ("haproxy", "-W", "-f", f"{tmp_path}/a.cfg"))], [])
    assert not found.is_master_worker
