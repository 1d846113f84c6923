"""Connections really made, and compared with what the model says of them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from remedy.spec.models import HostPort
from remedy.truth.conntrack import Entries
from remedy.truth.prober import Seen, probe
from remedy.truth.services import service_command

LOOPBACK = ip_address("127.0.0.1")


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as channel:
        channel.bind(("127.0.0.1", 0))
        return int(channel.getsockname()[1])


@pytest.fixture
def served() -> Iterator[tuple[int, int]]:
    """A server on a TCP and a UDP port of the loopback."""
    tcp, udp = free_port(), free_port(socket.SOCK_DGRAM)
    command = service_command("here", [f"tcp,127.0.0.1,{tcp}", f"udp,127.0.0.1,{udp}"])
    process = subprocess.Popen([sys.executable, *command[1:]], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield tcp, udp
    process.kill()
    process.communicate()


def test_many_connections_are_made_at_once_and_told_apart(served: tuple[int, int]) -> None:
    tcp, udp = served
    closed = free_port()
    questions = [HostPort.parse(f"127.0.0.1:{tcp}"), HostPort.parse(f"127.0.0.1:{udp}/udp")] * 40
    seen = probe(os.getpid(), [*questions, HostPort.parse(f"127.0.0.1:{closed}")])
    assert {(one.ok, one.by, one.source) for one in seen[:-1]} == {(True, "here", LOOPBACK)}
    assert all(one.client_port == one.server_port for one in seen[:-1])
    assert (seen[-1].ok, seen[-1].failure) == (False, "refused")


def test_a_server_that_closes_without_a_word_has_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.listen()
        port = server.getsockname()[1]
        pid = os.fork()
        if pid == 0:
            while True:
                server.accept()[0].close()
        seen = probe(os.getpid(), [HostPort.parse(f"127.0.0.1:{port}")])
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    assert (seen[0].ok, seen[0].failure) == (False, "refused")


LINES = """\
tcp      6 119 TIME_WAIT src=10.0.0.1 dst=10.0.0.2 sport=40000 dport=80 src=172.17.0.2 dst=10.0.0.1 sport=8080 dport=1
tcp      6 9 CLOSE src=172.17.0.1 dst=172.17.0.2 sport=50000 dport=8080 src=172.17.0.2 dst=172.17.0.1 sport=8080 dport=1
udp      17 29 src=10.0.0.1 dst=10.0.0.2 sport=40000 dport=80 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=80 dport=40000
"""


def test_entries_are_found_by_the_clients_port_and_by_docker_proxys() -> None:
    entries = Entries(iter(LINES.splitlines()))
    client, to = ip_address("10.0.0.1"), ip_address("10.0.0.2")
    seen = Seen(True, "c", ip_address("172.17.0.1"), client=client, client_port=40000, server_port=50000)
    found = entries.of_client("tcp", seen, to, 80)
    assert [str(entry.answers) for entry in found] == ["172.17.0.2"]
    assert len(entries.of_proxy("tcp", seen)) == 1
    assert not entries.of_client("tcp", seen, to, 81)
    assert len(entries.of_client("udp", seen, to, 80)) == 1
