"""haproxy: its configuration is found by its arguments, read without being led astray, and understood."""

from __future__ import annotations

import os
import time
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from remedy.facts.container_files import is_directory, list_directory, read_regular_file
from remedy.facts.container_processes import ContainerProcesses
from remedy.facts.haproxy import (
    MAXIMUM_BYTES,
    config_arguments,
    find_masters,
    read_haproxies,
    with_addresses,
)
from remedy.facts.haproxy_config import (
    MAXIMUM_PROBLEMS,
    MAXIMUM_SERVERS,
    Reading,
    parse_address,
    parse_config,
)
from remedy.facts.hosts_file import read_hosts
from remedy.facts.model import Container, HaproxyServer
from remedy.facts.processes import Process
from remedy.haproxy_cfg.words import split

CONFIG = r"""
# the operator's own
global
  maxconn 2000
defaults main
  default-server check port 9000
frontend web
  bind :8080
  use_backend "api" if { path_beg /server x 1.2.3.4:5 }
backend api
  server api1 172.17.0.1:5001 check inter 20s  # through the publish
  server "api 2" "${API}" check port 8081
  server-template t 2-4 api:8080 resolvers docker init-addr none
  server sock unix@/run/x.sock
  server v6 [fd00::1]:80
listen db from main
  server db1 ipv4@db:5432
peers mine
  peer a 10.0.0.1:1024
  server local
  server other 10.0.0.2:1024
resolvers docker
  nameserver dns 127.0.0.11:53
"""


def read(text: str, **environment: str) -> Reading:
    reading = Reading()
    parse_config(text, "haproxy.cfg", environment, reading)
    return reading


def servers(text: str, **environment: str) -> list[tuple[str, str, str, int | None, int | None]]:
    found: list[HaproxyServer] = read(text, **environment).servers
    return [(one.proxy, one.name, one.host, one.port, one.check_port) for one in found]


def test_a_whole_configuration_is_read() -> None:
    assert servers(CONFIG, API="172.17.0.1:5002") == [
        ("api", "api1", "172.17.0.1", 5001, 9000),
        ("api", "api 2", "172.17.0.1", 5002, 8081),
        ("api", "t[2-4]", "api", 8080, 9000),
        ("api", "v6", "fd00::1", 80, 9000),
        ("db", "db1", "db", 5432, 9000),
        ("mine", "other", "10.0.0.2", 1024, 9000),
    ]
    assert read(CONFIG, API="172.17.0.1:5002").problems == {}


def test_each_server_knows_its_line() -> None:
    assert [one.line for one in read("backend b\n\n server a x:1\n").servers] == [3]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a b  c", ["a", "b", "c"]),
        ("a\\ b c", ["a b", "c"]),
        ("'a b' c", ["a b", "c"]),
        ("'a\\b'", ["a\\b"]),
        ('"a b"c d', ["a bc", "d"]),
        ('"a\\"b"', ['a"b']),
        ("a # b", ["a"]),
        ("a\\#b", ["a#b"]),
        ("'#' b", ["#", "b"]),
        ('"${X}:80"', ["ten:80"]),
        ('"$X"', ["ten"]),
        ('"${Y-else}"', ["else"]),
        ("'${X}'", ["${X}"]),
        ('""', [""]),
        ("", []),
        ("\t \r", []),
    ],
)
def test_words_are_split_as_haproxy_does(line: str, words: list[str]) -> None:
    assert [word.value for word in split(line, {"X": "ten"})] == words


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1:80", ("10.0.0.1", 80)),
        ("10.0.0.1", ("10.0.0.1", None)),
        ("api:8080", ("api", 8080)),
        ("[fd00::1]:80", ("fd00::1", 80)),
        ("[fd00::1]", ("fd00::1", None)),
        ("fd00::1:80", ("fd00::1", 80)),
        ("::1:5001", ("::1", 5001)),
        ("fd00::1:", ("fd00::1", None)),
        ("ipv6@fd00::1:80", ("fd00::1", 80)),
        ("tcp4@10.0.0.1:80", ("10.0.0.1", 80)),
        ("10.0.0.1:+1000", ("10.0.0.1", None)),
        ("unix@/run/x", None),
        ("/run/x", None),
        ("abns@x", None),
    ],
)
def test_every_form_of_address_is_read(text: str, address: tuple[str, int | None] | None) -> None:
    parsed = parse_address(text)
    assert parsed == address
    if parsed and ":" in parsed[0]:
        assert IPv6Address(parsed[0])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("server a x:99999", "f:2: server: port '99999' is not understood"),
        ("server a [::1", "f:2: server: address '[::1' is not understood"),
        ("server", "f:2: server: a word is missing"),
        ("server-template t x y:1", "f:2: server-template: 'x' is no number of servers"),
        ('server a "${NOPE}:80"', "f:2: the variable NOPE is not known"),
        ("server a ${NOPE}:80", "f:2: server: address '${NOPE}:80' has a variable outside of double quotes"),
        ("server a 'x:1", "f:2: unmatched '"),
        (".if defined(X)", "f:2: conditional blocks are all read, whether they apply or not"),
        ("server a " + "x" * 70000, "f:2: the line is too long"),
    ],
)
def test_what_is_not_understood_is_said_with_its_place(line: str, problem: str) -> None:
    reading = Reading()
    parse_config(f"backend b\n{line}\nserver good 10.0.0.1:80\n", "f", {}, reading)
    assert list(reading.problems) == [problem]
    assert [one.name for one in reading.servers] == ["good"]


def test_a_variable_that_matters_to_nobody_is_no_problem() -> None:
    assert read('backend b\n stats auth "${USER}"\n http-request deny if "oops\n').problems == {}


def test_defaults_inherit_only_from_the_one_they_name_and_hold_in_the_next_file() -> None:
    reading = Reading()
    first = """\
defaults one
 default-server port 1
defaults two from one
 default-server fall 2
defaults three
 default-server check
defaults four
 default-server port 4
"""
    second = "backend a\n server a x:1\nbackend b from two\n server b x:1\nbackend c from three\n server c x:1\n"
    parse_config(first, "1.cfg", {}, reading)
    parse_config(second, "2.cfg", {}, reading)

    assert [(one.name, one.check_port) for one in reading.servers] == [("a", 4), ("b", 1), ("c", None)]


def test_a_value_is_not_taken_for_a_check_port() -> None:
    assert servers("backend b\n server a x:1 cookie port 8 check\n server b x:1 port 1 port 2\n") == [
        ("b", "a", "x", 1, None),
        ("b", "b", "x", 1, 2),
    ]


def test_variables_that_haproxy_sets_itself_are_known() -> None:
    text = """\
global
 setenv HOST 10.0.0.9
 presetenv PORT 1
 presetenv NEW 10.0.0.8
 unsetenv GONE
backend b
 server a "$HOST:$PORT"
 server b "$NEW:80"
 server c "$GONE:80"
"""
    reading = read(text, HOST="10.0.0.1", PORT="81", GONE="10.0.0.7")

    assert [(one.name, one.host, one.port) for one in reading.servers] == [
        ("a", "10.0.0.9", 81),
        ("b", "10.0.0.8", 80),
    ]
    assert list(reading.problems) == ["haproxy.cfg:9: the variable GONE is not known"]


def test_a_variable_that_may_have_been_set_is_not_known() -> None:
    text = 'global\n.if defined(X)\n setenv HOST 10.0.0.9\n.endif\nbackend b\n server a "$HOST:80"\n'

    assert read(text, HOST="10.0.0.1").servers == []


@pytest.mark.parametrize("content", [b"\0\xff\xfe" * 100, b"server\n" * 50, b"backend \xff\nserver \xff \xff:\xff\n"])
def test_garbage_never_raises(content: bytes) -> None:
    read(content.decode(errors="replace"))


def test_many_conditional_blocks_do_not_hide_the_servers_behind_them() -> None:
    reading = Reading()

    parse_config("backend b\n" + ".if defined(X)\nserver a 10.0.0.1:1\n.endif\n" * MAXIMUM_PROBLEMS, "f", {}, reading)

    assert len(reading.servers) == MAXIMUM_PROBLEMS
    assert list(reading.problems) == ["f:2: conditional blocks are all read, whether they apply or not"]


@pytest.mark.parametrize("line", ["server a b:1", "server", ".if x", "  # server", "mode http", "frontend '"])
def test_a_hostile_file_costs_little(line: str) -> None:
    started = time.process_time()
    reading = read("backend b\n" + f"{line}\n" * (MAXIMUM_BYTES // (len(line) + 1)))
    assert time.process_time() - started < 5
    assert len(reading.servers) <= MAXIMUM_SERVERS
    assert len(reading.problems) <= MAXIMUM_PROBLEMS + 1


@pytest.mark.parametrize(
    ("line", "files", "directory"),
    [
        ("haproxy -f /a.cfg", ["/a.cfg"], None),
        ("haproxy -W -db -f a -f b -n 100 -p /run/pid", ["a", "b"], None),
        ("haproxy -sf 12 13 -f a -x /sock", ["a"], None),
        ("haproxy -C /etc -f a -- b c", ["a", "b", "c"], "/etc"),
        ("haproxy -Ws -S /run/master -f /etc/haproxy/haproxy.cfg", ["/etc/haproxy/haproxy.cfg"], None),
        ("haproxy -f", [], None),
        ("haproxy", [], None),
    ],
)
def test_configuration_files_are_found_by_the_arguments(line: str, files: list[str], directory: str | None) -> None:
    assert config_arguments(line.split()) == (files, directory)


def test_a_master_is_none_that_another_haproxy_started() -> None:
    processes = [Process(10, 1, "haproxy", ()), Process(11, 10, "haproxy", ()), Process(20, 5, "haproxy", ())]
    assert [process.pid for process in find_masters(processes)] == [10, 20]


def container(name: str, pid: int, *command: str) -> Container:
    return Container(
        id=name,
        name=name,
        image="x",
        state="running" if pid else "exited",
        pid=pid,
        started_at="",
        restart_policy="no",
        network_mode="bridge",
        labels={},
        endpoints=(),
        ports=(),
        command=command,
    )


def test_a_process_belongs_to_the_container_it_is_the_first_of_or_a_child_of() -> None:
    containers = [container("lb", 1 << 22), container("other", 5)]
    processes = ContainerProcesses(containers)
    assert processes.owner_of(1 << 22, 1) is containers[0]
    assert processes.owner_of((1 << 22) + 1, 1 << 22) is containers[0]
    assert processes.owner_of((1 << 22) + 1, 1) is None


def test_an_idle_haproxy_container_is_named() -> None:
    (facts,) = read_haproxies([], [container("lb", 0, "haproxy", "-f", "x"), container("web", 0, "nginx")])
    assert facts.container_id == "lb"
    assert facts.problem == "the container is exited: its configuration was not read"


def test_a_haproxy_of_the_host_is_read_files_and_directories(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/b.cfg").write_text("backend b\nserver b1 10.0.0.2:80\n")
    (tmp_path / "conf/a.cfg").write_text("backend a\nserver a1 10.0.0.1:80\n")
    (tmp_path / "conf/ignored.txt").write_text("backend c\nserver c1 10.0.0.3:80\n")
    # What cannot be read does not hide the rest.
    arguments = ("haproxy", "-f", str(tmp_path / "missing.cfg"), "-f", str(tmp_path / "conf"))
    (facts,) = read_haproxies([Process(os.getpid(), 1, "haproxy", arguments)], [])
    assert [one.name for one in facts.servers] == ["a1", "b1"]
    assert [Path(name).name for name in facts.config_files] == ["a.cfg", "b.cfg"]
    assert facts.problem == f"{tmp_path}/missing.cfg: No such file or directory"


def test_all_files_of_one_haproxy_together_are_limited(tmp_path: Path) -> None:
    for name in ("a.cfg", "b.cfg"):
        (tmp_path / name).write_text("#" * (MAXIMUM_BYTES // 2 + 1))
    (facts,) = read_haproxies([Process(os.getpid(), 1, "haproxy", ("haproxy", "-f", str(tmp_path)))], [])
    assert facts.problem == f"{tmp_path}/b.cfg: larger than the {MAXIMUM_BYTES // 2 - 1} bytes that are read"


@pytest.fixture
def root(tmp_path: Path) -> int:
    """A container's root directory, with a secret beside it."""
    (tmp_path / "secret").write_text("host")
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/haproxy.cfg").write_text("inside")
    (tmp_path / "root/secret").write_text("the container's own")
    return os.open(tmp_path / "root", os.O_PATH | os.O_DIRECTORY)


def link(root: int, name: str, target: str) -> None:
    os.symlink(target, name, dir_fd=root)


@pytest.mark.parametrize(
    "path", ["/etc/haproxy.cfg", "etc/haproxy.cfg", "/etc/../etc/./haproxy.cfg", "//etc//haproxy.cfg"]
)
def test_files_are_read_below_the_root(root: int, path: str) -> None:
    assert read_regular_file(root, path, MAXIMUM_BYTES) == b"inside"


@pytest.mark.parametrize(
    "target", ["/secret", "../secret", "../../../../../../secret", "/../secret", "/proc/../secret"]
)
def test_no_link_and_no_dots_lead_out(root: int, target: str) -> None:
    link(root, "config", target)
    if "proc" in target:
        os.mkdir("proc", dir_fd=root)
    assert read_regular_file(root, "/config", MAXIMUM_BYTES) == b"the container's own"


def test_links_to_directories_are_followed_inside(root: int) -> None:
    link(root, "configuration", "/etc")
    link(root, "chain", "configuration/haproxy.cfg")
    assert read_regular_file(root, "/chain", MAXIMUM_BYTES) == b"inside"
    assert is_directory(root, "/configuration")
    assert list_directory(root, "/configuration") == ["haproxy.cfg"]


def test_a_loop_of_links_ends(root: int) -> None:
    link(root, "a", "b")
    link(root, "b", "a")
    with pytest.raises(OSError, match="Too many levels"):
        read_regular_file(root, "/a", MAXIMUM_BYTES)


def test_a_magic_link_of_proc_is_no_way_out(tmp_path: Path) -> None:
    # Below / the links of /proc are readable as text only: their target is looked up again below the root.
    (tmp_path / "root").mkdir()
    (tmp_path / "root/escape").symlink_to("/proc/self/root/etc/hostname")
    descriptor = os.open(tmp_path / "root", os.O_PATH | os.O_DIRECTORY)
    with pytest.raises(FileNotFoundError):
        read_regular_file(descriptor, "/escape", MAXIMUM_BYTES)


def test_pipes_devices_and_directories_are_not_read(root: int) -> None:
    os.mkfifo("pipe", dir_fd=root)
    for path in ("/pipe", "/etc", "/"):
        with pytest.raises(OSError, match="not a regular file"):
            read_regular_file(root, path, MAXIMUM_BYTES)


def test_a_huge_file_is_refused(root: int, tmp_path: Path) -> None:
    with (tmp_path / "root/huge").open("wb") as file:
        file.truncate(MAXIMUM_BYTES + 1)
    with pytest.raises(ValueError, match="larger than"):
        read_regular_file(root, "/huge", MAXIMUM_BYTES)


def test_no_descriptor_is_left_open(root: int) -> None:
    link(root, "loop", "loop")
    before = os.listdir("/proc/self/fd")
    read_regular_file(root, "/etc/haproxy.cfg", MAXIMUM_BYTES)
    for path in ("/loop", "/none/x", "/etc/haproxy.cfg/x"):
        with pytest.raises(OSError, match=r"."):
            read_regular_file(root, path, MAXIMUM_BYTES)
    assert os.listdir("/proc/self/fd") == before


def test_names_of_etc_hosts_are_read_as_haproxy_sees_them(tmp_path: Path) -> None:
    text = "127.0.0.1 localhost\n\n172.17.0.1\tHost.Docker.Internal other # host.wrong\nnonsense x\n::1 localhost\n"
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "hosts").write_text(text)
    root = os.open(tmp_path, os.O_PATH)
    names = read_hosts(root)
    os.close(root)
    assert {name: tuple(map(str, found)) for name, found in names.items()} == {
        "localhost": ("127.0.0.1", "::1"),
        "host.docker.internal": ("172.17.0.1",),
        "other": ("172.17.0.1",),
    }
    server = HaproxyServer(proxy="b", name="s", host="host.docker.internal", port=5001, file="f", line=1)
    assert with_addresses(server, names).addresses == names["other"]
    assert with_addresses(server.model_copy(update={"host": "elsewhere"}), names).addresses == ()
