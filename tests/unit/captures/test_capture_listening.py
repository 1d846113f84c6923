from __future__ import annotations

from ipaddress import ip_address

import pytest

from remedy.captures.listening import listening_sockets, parse_lines
from remedy.facts.containers import parse_container
from remedy.facts.model import Container, Protocol


def line(local: str, users: str = "", state: str = "tcp LISTEN") -> str:
    return f"{state} 0      4096   {local} 0.0.0.0:* {users}"


def users(*held: tuple[str, int]) -> str:
    return "users:((" + "),(".join(f'"{program}",pid={pid},fd=4' for program, pid in held) + "))"


def container(name: str, pid: int, *command: str) -> Container:
    state = {"Pid": pid, "Status": "running"}
    return parse_container({"Id": f"id-{name}", "Name": f"/{name}", "State": state, "Config": {"Cmd": command}})


@pytest.mark.parametrize(
    ("local", "address", "v6only"),
    [
        ("0.0.0.0:80", "0.0.0.0", None),
        ("[::]:80", "::", True),
        ("*:80", "::", False),
        ("[::1]:80", "::1", None),
        ("127.0.0.53%lo:80", "127.0.0.53", None),
        ("[fe80::1]%eth0:80", "fe80::1", None),
        ("[::]%eth0:80", "::", True),
    ],
)
def test_each_way_that_ss_writes_an_address_is_read(local, address, v6only):
    (found,) = parse_lines([line(local)])
    assert (found.address, found.port, found.v6only) == (ip_address(address), 80, v6only)


def test_lines_of_other_sockets_are_left_out():
    lines = [line("0.0.0.0:80", state="raw UNCONN"), line("1.2.3.4:80", state="tcp ESTAB"), "", "udp UNCONN"]
    assert [found.protocol for found in parse_lines([*lines, line("0.0.0.0:53", state="udp UNCONN")])] == [Protocol.UDP]


def owners(lines: list[str], members: list[Container], *, is_host: bool = False) -> list[str | None]:
    return [item.container_id for item in listening_sockets(parse_lines(lines), members, is_host=is_host)]


def test_a_socket_belongs_to_the_container_whose_first_process_holds_it_before_any_worker():
    members = [container("a", 10), container("b", 20)]
    lines = [line("0.0.0.0:80", users(("nginx", 30), ("nginx", 10)))]
    assert owners(lines, members) == ["id-a"]
    assert next(parse_lines(lines)).users[0] == (10, "nginx")


def test_a_later_process_belongs_to_the_container_whose_command_names_it_else_to_the_last_one_before():
    members = [container("proxy", 10, "haproxy", "-W"), container("b", 20, "sh")]
    lines = [line("0.0.0.0:80", users(("haproxy", 30))), line("0.0.0.0:81", users(("python3", 31)))]
    assert owners(lines, members) == ["id-proxy", "id-b"]


def test_the_engines_dns_is_no_containers():
    assert owners([line("127.0.0.11:80", users(("dockerd", 99)))], [container("a", 10)]) == [None]


def test_of_the_hosts_sockets_only_those_are_a_containers_that_its_command_names():
    members = [container("proxy", 10, "/usr/sbin/haproxy", "-W"), container("web", 12, "python3")]
    lines = [
        line("0.0.0.0:80", users(("haproxy", 11))),
        line("0.0.0.0:81", users(("python3", 12))),
        line("0.0.0.0:82", users(("python3", 30))),
        line("0.0.0.0:83"),
    ]
    assert owners(lines, members, is_host=True) == ["id-proxy", "id-web", None, None]
