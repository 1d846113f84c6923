"""Whose a process is, as /proc tells it with each cgroup version and driver."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from recorded_facts import containers

from remedy.facts import container_processes
from remedy.facts.connections import listening_sockets
from remedy.facts.container_processes import ContainerProcesses
from remedy.facts.model import Protocol
from remedy.facts.sockets import RawSocket

CONTAINERS = containers("28.5.2-iptables-proxy-on-variant")
WEB, SIDE = CONTAINERS["web1"], CONTAINERS["side"]
WORKER, STRANGER = 100_001, 100_002
HOST_CGROUP = "0::/system.slice/docker.service\n"


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[int, str], str]:
    """Files of /proc by process and name, to be filled by the test."""
    files: dict[tuple[int, str], str] = {}

    def read(pid: int, name: str) -> str:
        if (pid, name) not in files:
            raise FileNotFoundError(name)
        return files[pid, name]

    monkeypatch.setattr(container_processes, "read_proc_text", read)
    return files


@pytest.mark.parametrize(
    "cgroup",
    [
        f"0::/system.slice/docker-{SIDE.id}.scope\n",
        f"0::/docker/{SIDE.id}\n",
        f"0::/../docker-{SIDE.id}.scope\n",
        f"12:pids:/docker/{SIDE.id}\n11:memory:/docker/{SIDE.id}\n0::/system.slice/containerd.service\n",
        f"1:name=systemd:/system.slice/docker-{SIDE.id}.scope\n",
        f"0::/docker/{SIDE.id}/docker/{'f' * 64}\n",  # an engine in a container
    ],
)
def test_the_cgroup_names_the_container(processes: dict[tuple[int, str], str], cgroup: str) -> None:
    processes[WORKER, "cgroup"] = cgroup
    assert ContainerProcesses(CONTAINERS.values()).owner_of(WORKER) is SIDE


def test_a_first_process_is_known_without_being_looked_at(processes: dict[tuple[int, str], str]) -> None:
    assert ContainerProcesses(CONTAINERS.values()).owner_of(WEB.pid) is WEB


def test_without_a_cgroup_that_names_it_a_child_of_the_first_process_counts(
    processes: dict[tuple[int, str], str],
) -> None:
    processes[WORKER, "cgroup"] = HOST_CGROUP
    processes[WORKER, "stat"] = f"{WORKER} (a ) b) S {WEB.pid} 1 1 0"
    processes[STRANGER, "cgroup"] = HOST_CGROUP
    processes[STRANGER, "stat"] = f"{STRANGER} (dockerd) S 1 1 1 0"
    known = ContainerProcesses(CONTAINERS.values())
    assert known.owner_ids([WORKER, STRANGER, 100_003, SIDE.pid]) == {WORKER: WEB.id, SIDE.pid: SIDE.id}
    assert ContainerProcesses([]).owner_ids([WORKER]) == {}


def test_a_waiting_socket_names_the_container_of_its_process() -> None:
    def socket(port: int, inode: int) -> RawSocket:
        return RawSocket(Protocol.TCP, "LISTEN", ip_address("0.0.0.0"), port, ip_address("0.0.0.0"), 0, inode)

    owners = {1: (WORKER, "nginx"), 2: (STRANGER, "dockerd")}
    found = listening_sockets([socket(80, 1), socket(81, 2), socket(82, 3)], owners, {WORKER: WEB.id})
    assert [one.container_id for one in found] == [WEB.id, None, None]
