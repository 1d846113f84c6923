"""haproxy's sockets: what is asked, and what is made of the answers."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from remedy.errors import HaproxyError
from remedy.haproxy.master import reload_by_signal, reload_by_socket
from remedy.haproxy.running import ProcessIdentity, RunningHaproxy
from remedy.haproxy.runtime_api import (
    HaproxySocketAt,
    RuntimeApi,
    ServerState,
    parse_servers_state,
    server_name,
)

# haproxy 2.6's answer, shortened.
STATE = """\
1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port
4 api 1 api1 172.17.0.1 2 - 5001 - 0 0
4 api 2 api2 - 0 api-2 8080 - 0 9000
"""
MOVED = "IP changed from '172.17.0.1' to '172.17.0.3', port changed from '5001' to '8080' by 'stats socket command'"
HERE = ProcessIdentity(os.getpid(), 0)


@contextmanager
def haproxy_answering(path: Path, *answers: str) -> Iterator[tuple[HaproxySocketAt, list[str]]]:
    """A socket that answers each connection in turn, and what it was asked."""
    asked: list[str] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            for answer in answers:
                channel, _ = listener.accept()
                with channel:
                    asked.append(channel.recv(4096).decode())
                    channel.sendall(answer.encode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield HaproxySocketAt(RunningHaproxy(HERE, (), 0), str(path)), asked
        thread.join(5)


def test_the_state_of_the_servers_is_read() -> None:
    assert parse_servers_state(STATE) == {
        ("api", "api1"): ServerState(ip_address("172.17.0.1"), 5001, 0),
        ("api", "api2"): ServerState(None, 8080, 9000),
    }


@pytest.mark.parametrize("text", ["", "2\n# a\n", "Unknown command\n", "1\nbe_name\n"])
def test_an_answer_that_is_no_state_is_an_error(text: str, tmp_path: Path) -> None:
    with (
        haproxy_answering(tmp_path / "s", text) as (at, _),
        pytest.raises(HaproxyError, match="does not list its servers"),
    ):
        RuntimeApi(at).servers()


@pytest.mark.parametrize("name", ["a b", "a;b", "a\nb", "a/b", "", "a#", "'a'", "a\\", "ä"])
def test_names_that_could_break_the_line_are_refused(name: str) -> None:
    for names in ((name, "s"), ("p", name)):
        with pytest.raises(HaproxyError, match="no name"):
            server_name(*names)


def test_a_server_is_moved_with_its_check_port(tmp_path: Path) -> None:
    with haproxy_answering(tmp_path / "s", MOVED, "") as (at, asked):
        RuntimeApi(at).move("api", "api1", ServerState(ip_address("172.17.0.3"), 8080, 9000))
    assert asked == ["set server api/api1 addr 172.17.0.3 port 8080\n", "set server api/api1 check-port 9000\n"]


@pytest.mark.parametrize("answer", ["No such server.", "Permission denied", ""])
def test_a_refusal_is_told(tmp_path: Path, answer: str) -> None:
    with haproxy_answering(tmp_path / "s", answer) as (at, _), pytest.raises(HaproxyError, match="refuses"):
        RuntimeApi(at).move("api", "api1", ServerState(ip_address("172.17.0.3"), 8080, 0))


def test_that_nothing_needs_to_change_is_no_refusal(tmp_path: Path) -> None:
    said = "no need to change the addr, no need to change the port by 'stats socket command'"
    with haproxy_answering(tmp_path / "s", said) as (at, _):
        RuntimeApi(at).move("api", "api1", ServerState(ip_address("172.17.0.3"), 8080, 0))


def test_a_second_command_cannot_be_smuggled_in(tmp_path: Path) -> None:
    for command in ("show info\nset maxconn 1", "show info; set maxconn 1"):
        with pytest.raises(HaproxyError, match="refusing to send"):
            HaproxySocketAt(RunningHaproxy(HERE, (), 0), str(tmp_path / "s")).ask(command)


@pytest.mark.parametrize("address", ["/none/s", "abns@x", "nothing", "127.0.0.1:1"])
def test_a_socket_that_is_not_there_is_an_error(address: str) -> None:
    with pytest.raises(HaproxyError, match="does not answer"):
        HaproxySocketAt(RunningHaproxy(HERE, (), 0), address).ask("show info")


def test_the_masters_socket_says_when_a_reload_failed(tmp_path: Path) -> None:
    with (
        haproxy_answering(tmp_path / "s", "Success=0\n--\n[ALERT] no\n") as (at, _),
        pytest.raises(HaproxyError, match="did not load") as raised,
    ):
        reload_by_socket(at.running, at.address)
    assert "[ALERT] no" in str(raised.value)
    with haproxy_answering(tmp_path / "t", "Success=1\n") as (at, asked):
        reload_by_socket(at.running, at.address)
    assert asked == ["reload\n"]


def test_a_process_that_is_no_haproxy_any_more_gets_no_signal() -> None:
    # With these numbers it is this very test, which would not survive the signal.
    with pytest.raises(HaproxyError, match="ended before"):
        reload_by_signal(RunningHaproxy(HERE, (), 0))
