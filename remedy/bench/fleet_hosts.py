"""The hosts of the fleet benchmark: sshd, a user who may become root, and a remedy whose answers are kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from remedy.bench.loss import COMMAND_TIMEOUT_SECONDS, Say
from remedy.errors import LabError
from remedy.frozen import Frozen
from remedy.lab import Host, lab_up
from remedy.lab.topology import File, Topology
from remedy.lab.topology_files import load_topology

USER = "ops"
MEBIBYTES_A_HOST = 256  # measured: engine, containerd, systemd, sshd, docker-proxies, four containers
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INSTANCES_A_HOST, SPARE_INSTANCES = 10, 128
SPEC: dict[str, Any] = {
    "version": 1,
    "load_balancer": "dev1-haproxy-1",
    "backends": [{"containers": ["dev1-api-1", "dev1-api-2", "dev1-api-3"], "port": 8080}],
    "remedies": {"userland_proxy": False},
    "policy": {"restart_engine": True},
}
RECORDED, REPLAYED = "/opt/bench/recorded", "/opt/bench/replayed"
ANSWERS = "/opt/bench/answers"
# remedy; its answers are kept, one after the other, with the time that each took.
RECORDER = f"""#!/bin/sh
number=$(($(wc -l < {ANSWERS}/times) + 1))
began=$(date +%s%N)
/usr/local/bin/remedy "$@" > {ANSWERS}/$number.out 2> {ANSWERS}/$number.err
code=$?
echo "$1 $code $(($(date +%s%N) - began))" >> {ANSWERS}/times
echo $code > {ANSWERS}/$number.code
cat {ANSWERS}/$number.err >&2
cat {ANSWERS}/$number.out
exit $code
"""
# Those answers once more, in the same order, at once.
REPLAYER = f"""#!/bin/sh
number=$(($(cat {ANSWERS}/replayed) + 1))
echo $number > {ANSWERS}/replayed
cat {ANSWERS}/$number.err >&2
cat {ANSWERS}/$number.out
exit $(cat {ANSWERS}/$number.code)
"""
ADD_USER = f"""
useradd --create-home --shell /bin/bash {USER}
install -d -o {USER} -g {USER} -m 0700 /home/{USER}/.ssh
cat > /home/{USER}/.ssh/authorized_keys
"""


class Call(Frozen):
    """One call of remedy on a host."""

    command: str
    exit_code: int
    seconds: float


def fleet_topology() -> Topology:
    """The operator's host, with sshd and sudo."""
    topology = load_topology("operator")
    sudo = File(path="/etc/sudoers.d/ops", content=f"{USER} ALL=(ALL) NOPASSWD: ALL\n", mode="0440")
    return topology.model_copy(update={"packages": ("openssh-server", "sudo"), "files": (*topology.files, sudo)})


def check_memory(hosts: int, available: int) -> None:
    """Raise LabError where this machine has no room for so many engines. available: MiB."""
    if hosts * MEBIBYTES_A_HOST > available:
        raise LabError(
            f"{hosts} Docker hosts want {hosts * MEBIBYTES_A_HOST:,} MiB, and {available:,} MiB are available",
            next_step=f"--hosts {max(available // MEBIBYTES_A_HOST, 1)}, or stop what else runs on this machine",
        )


def available_mebibytes() -> int:
    """What the kernel could give to new programs without swapping."""
    (line,) = (line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
    return int(line.split()[1]) >> 10


@contextmanager
def inotify_instances(hosts: int, say: Say) -> Iterator[None]:
    """Let so many hosts run for the length of a `with` block: the kernel's 128 for a user are those of 14 systemds."""
    before, wanted = INOTIFY.read_text().strip(), INSTANCES_A_HOST * hosts + SPARE_INSTANCES
    if int(before) >= wanted:
        yield
        return
    say(f"fs.inotify.max_user_instances = {wanted} for as long as this runs, {before} afterwards")
    INOTIFY.write_text(str(wanted))
    try:
        yield
    finally:
        INOTIFY.write_text(before)


@contextmanager
def fleet(name: str, engine: str, firewall: str, hosts: int, key: str, say: Say) -> Iterator[list[Host]]:
    """Hosts that run, for the length of a `with` block. key: the controller's public one. Raises LabError."""
    topology = fleet_topology()
    with inotify_instances(hosts, say), ExitStack() as stack:
        made = []
        for number in range(1, hosts + 1):
            say(f"host {number} of {hosts}")
            host = stack.enter_context(
                lab_up(f"{name}-{number}", engine=engine, firewall=firewall, topology=topology, say=say)
            )
            _prepare(host, key)
            made.append(host)
        yield made


def _prepare(host: Host, key: str) -> None:
    host.run(["sh", "-ec", ADD_USER], stdin=key)
    host.write_file("/etc/remedy/remedy.yaml", json.dumps(SPEC))
    host.write_file(RECORDED, RECORDER, 0o755)
    host.write_file(REPLAYED, REPLAYER, 0o755)
    host.write_file(f"{ANSWERS}/times", "")
    host.write_file(f"{ANSWERS}/replayed", "0\n")


def calls_on(host: Host) -> tuple[Call, ...]:
    """What remedy was asked on a host, and how long each answer took."""
    lines = [line.split() for line in host.read_file(f"{ANSWERS}/times").decode().splitlines()]
    return tuple(Call(command=name, exit_code=int(code), seconds=int(took) / 1e9) for name, code, took in lines)


def not_applied(hosts: Sequence[Host]) -> tuple[str, ...]:
    """Which hosts are not as the spec wants them."""
    return tuple(host.name for host in hosts if not _is_applied(host))


def _is_applied(host: Host) -> bool:
    answer = host.run(["remedy", "status", "--format", "json"], timeout=COMMAND_TIMEOUT_SECONDS)
    status = json.loads(answer.stdout)
    return status["state"] == "applied" and status["docker_proxy_processes"] == 0 and not status["drift"]
