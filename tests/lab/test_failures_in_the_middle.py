"""What breaks while apply or rollback is at work: the engine, a container, a disk. All is put back, or it is said."""

from __future__ import annotations

import fcntl
import json
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import LabHost
from operating import DIRECTORY, Operator
from state import State, differences, host_state, without_processes

from remedy.lab import Host

pytestmark = pytest.mark.lab

BROKEN_ENGINE = """\
[Service]
ExecStartPre=/bin/sh -c '! grep -q "userland-proxy.: false" /etc/docker/daemon.json'
"""
TOPOLOGIES = Path(__file__).parent / "topologies"
DROP_IN = "/etc/systemd/system/docker.service.d/broken.conf"
DAEMON_JSON = "/etc/docker/daemon.json"
SECONDS_FOR_A_CONTAINER_THAT_GOES = 25  # a run is 3 s on a quiet machine, its undo 3 s, its probes up to 4 s each


@pytest.fixture(scope="module")
def shared(module_lab_host: LabHost) -> Iterator[tuple[Operator, State]]:
    """One host for those that give it back as it was."""
    operator = Operator(module_lab_host("28.5", "nft"))
    yield operator, host_state(operator.host)


# --- the engine ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("engine", "firewall"), [("28.5", "nft"), ("20.10", "legacy")])
def test_an_engine_that_does_not_come_back_gets_its_old_daemon_json(
    lab_host: LabHost, engine: str, firewall: str
) -> None:
    operator = Operator(lab_host(engine, firewall))
    operator.host.write_file(DROP_IN, BROKEN_ENGINE)
    operator.host.run(["systemctl", "daemon-reload"])
    before = host_state(operator.host)
    report = operator.json("apply", "--yes")
    assert (report["result"], report["exit_code"]) == ("rolled-back", 3)
    assert "did not come back" in report["message"]
    assert differences(before, host_state(operator.host)) == []


@pytest.mark.parametrize(("engine", "firewall"), [("28.5", "nft"), ("20.10", "legacy")])
def test_a_rollback_that_cannot_complete_says_how_to_finish_it_and_finishes_once_it_can(
    lab_host: LabHost, engine: str, firewall: str
) -> None:
    operator = Operator(lab_host(engine, firewall))
    before = host_state(operator.host)
    for by_hand in (False, True):
        operator.remedy("apply", "--yes", check=True)
        with_broken_engine(operator.host, True)
        report = operator.json("rollback", "--yes")
        assert (report["result"], report["exit_code"]) == ("rollback-incomplete", 4), report
        assert any("systemctl restart docker" in line for line in report["leftover"])
        shown = operator.remedy("rollback", "--yes")
        assert shown.status == 4
        assert all(line in shown.stdout for line in report["leftover"])
        assert operator.remedy("apply", "--yes").status == 8
        with_broken_engine(operator.host, False)
        if by_hand:
            operator.host.run(["bash", "-ec", "\n".join(report["leftover"])], timeout=60)
            assert differences(before, host_state(operator.host)) == []
        done = operator.remedy("rollback", "--yes")
        assert done.status == 0, done.stdout + done.stderr
        assert differences(before, host_state(operator.host)) == []


def with_broken_engine(host: Host, broken: bool) -> None:
    """Replace dockerd by a program that only fails; the containers live on without it, by live-restore or not."""
    if broken:
        host.run(["sh", "-c", "cd /usr/sbin && mv dockerd dockerd.away && printf '#!/bin/false\\n' > dockerd"])
        host.run(["chmod", "+x", "/usr/sbin/dockerd"])
    else:
        host.run(["sh", "-c", "cd /usr/sbin && mv -f dockerd.away dockerd"])


@pytest.mark.parametrize("record", ["done hold_live_restore", "intent userland_proxy", "done userland_proxy"])
def test_an_engine_that_is_killed_in_the_middle_leaves_the_host_applied_or_as_it_was(
    shared: tuple[Operator, State], record: str
) -> None:
    operator, before = shared
    running = operator.apply_until(record)
    operator.host.run(["pkill", "-9", "-x", "dockerd"], check=False)
    code, output = running.wait()
    assert code in (0, 3), output
    if code == 0:
        operator.remedy("rollback", "--yes", check=True)
    assert differences(before, host_state(operator.host)) == []


# --- containers ------------------------------------------------------------------------------------------------


def test_a_server_that_dies_meanwhile_is_taken_for_our_doing(lab_host: LabHost) -> None:
    operator = Operator(lab_host("28.5", "nft", TOPOLOGIES / "dying-server.yaml"))
    before = host_state(operator.host, traffic=False)
    running = operator.apply_until("intent hold_live_restore")
    operator.host.run(["pkill", "-9", "-x", "socat"])
    code, output = running.wait()
    assert code == 3, output
    assert "6001" in output
    assert differences(before, host_state(operator.host, traffic=False)) == []


CHANGES: dict[str, Callable[[Host], object]] = {
    "stopped": lambda host: docker(host, "stop", "-t", "0", "dev1-api-2"),
    "started again": lambda host: docker(host, "restart", "-t", "0", "dev1-api-2"),
    "made again": lambda host: make_again(host),
}


def make_again(host: Host) -> None:
    docker(host, "rm", "-f", "dev1-api-2")
    # Another container takes its address first.
    docker(host, "run", "-d", "--name", "squatter", "remedy-lab:latest", "idle")
    docker(host, "run", "-d", "--name", "dev1-api-2", "-p", "5002:8080", "remedy-lab:latest", "nginx")


def docker(host: Host, *arguments: str) -> None:
    """As somebody does who tries again when the engine that is being restarted has cut him off."""
    for _ in range(5):
        done = host.run(["docker", *arguments], check=False, timeout=60)
        if done.status == 0 or "is already in use" in done.stderr or "No such container" in done.stderr:
            return
        assert "error during connect" in done.stderr or "Cannot connect" in done.stderr, done.stderr
        time.sleep(0.5)
    raise AssertionError(done.stderr)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("record", ["intent hold_live_restore", "intent userland_proxy", "done userland_proxy"])
def test_a_container_that_is_changed_meanwhile_costs_no_half_state_and_no_long_wait(
    lab_host: LabHost, change: str, record: str
) -> None:
    operator = Operator(lab_host("28.5", "nft"))
    before = without_processes(host_state(operator.host, traffic=False))
    running = operator.apply_until(record)
    CHANGES[change](operator.host)
    began = time.monotonic()
    code, output = running.wait()
    assert time.monotonic() - began < SECONDS_FOR_A_CONTAINER_THAT_GOES, output
    assert code in (0, 3), output
    if code == 3:
        assert f"dev1-api-2 was {change}" in output
    else:
        assert operator.json("status")["drift"] == []
        operator.remedy("rollback", "--yes", check=True)
    after = without_processes(host_state(operator.host, traffic=False))
    left = [line for line in differences(before, after) if not about_containers(line)]
    assert left == [], output


def about_containers(line: str) -> bool:
    """What the change of the container itself has changed."""
    return any(name in line for name in ("dev1-api-2", "squatter", "containers running"))


# --- disks and files -------------------------------------------------------------------------------------------


def test_a_full_disk_for_the_journal_changes_nothing(shared: tuple[Operator, State]) -> None:
    operator, before = shared
    mount_small(operator.host, "/mnt/state", "4k")
    try:
        done = operator.remedy("apply", "--yes", env={"REMEDY_STATE_DIR": "/mnt/state/remedy"})
        assert done.status == 1
        assert "No space left on device" in done.stderr
        assert operator.host.run(["find", "/mnt/state", "-name", "*.json*"]).stdout == ""
    finally:
        operator.host.run(["umount", "/mnt/state"])
    assert differences(before, host_state(operator.host)) == []


def test_a_disk_that_fills_up_under_the_journal_puts_everything_back(shared: tuple[Operator, State]) -> None:
    operator, before = shared
    mount_small(operator.host, "/mnt/state", "256k")
    state = {"REMEDY_STATE_DIR": "/mnt/state/remedy"}
    try:
        operator.host.run(["mkdir", "-p", "/mnt/state/remedy"])
        runs = "/mnt/state/remedy/runs"
        filler = f'while ! grep -qs \'"done","action":"bridge"\' {runs}/*/journal.jsonl; do sleep 0.001; done'
        filling = operator.host.popen(["sh", "-c", f"{filler}; cat /dev/zero > /mnt/state/filler"], stderr=-3)
        done = operator.remedy("apply", "--yes", env=state)
        filling.wait(30)
        # The journal's last page may have room for all of it.
        assert done.status in (0, 3), done.stdout + done.stderr
        rolled = operator.remedy("rollback", "--yes", env=state)
        assert rolled.status == 0, rolled.stdout + rolled.stderr
    finally:
        operator.host.run(["umount", "/mnt/state"])
    assert differences(before, host_state(operator.host)) == []


def mount_small(host: Host, path: str, size: str) -> None:
    host.run(["mkdir", "-p", path])
    host.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "small", path])


OBSTACLES = {
    "a full disk": ("mount -t tmpfs -o size=4k full /etc/docker; cat /dev/zero > /etc/docker/x 2>/dev/null; true", 1),
    "a read-only disk": ("mount -t tmpfs -o ro ro /etc/docker", 1),
    "an immutable file": ("echo {} > /etc/docker/daemon.json", 1),
    "a symbolic link": ("echo {} > /etc/real.json; ln -s /etc/real.json /etc/docker/daemon.json", 7),
}
AWAY = "umount /etc/docker 2>/dev/null; rm -f /etc/docker/daemon.json /etc/real.json"
# linux/fs.h; by hand, because the hosts have no chattr.
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IMMUTABLE_FL = 0x80086601, 0x40086602, 0x10


def set_immutable(host: Host, is_immutable: bool) -> None:
    """The flag of daemon.json that even root cannot write over, as `chattr +i` sets it."""
    path = host.root / DAEMON_JSON.lstrip("/")
    with path.open() as file:
        flags = struct.unpack("l", fcntl.ioctl(file, FS_IOC_GETFLAGS, struct.pack("l", 0)))[0]
        flags = flags | FS_IMMUTABLE_FL if is_immutable else flags & ~FS_IMMUTABLE_FL
        fcntl.ioctl(file, FS_IOC_SETFLAGS, struct.pack("l", flags))


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_a_daemon_json_that_cannot_be_written_stops_apply_before_anything_is_changed(
    shared: tuple[Operator, State], obstacle: str
) -> None:
    operator, clean = shared
    script, code = OBSTACLES[obstacle]
    operator.host.run(["sh", "-c", script])
    is_immutable = obstacle == "an immutable file"
    if is_immutable:
        set_immutable(operator.host, True)
    try:
        before = host_state(operator.host)
        done = operator.remedy("apply", "--yes")
        assert done.status == code, done.stdout + done.stderr
        assert "daemon.json" in done.stderr
        assert differences(before, host_state(operator.host)) == []
    finally:
        if is_immutable:
            set_immutable(operator.host, False)
        operator.host.run(["sh", "-c", AWAY])
    assert differences(clean, host_state(operator.host)) == []


def test_a_directory_that_remedy_made_for_daemon_json_goes_with_it(lab_host: LabHost) -> None:
    operator = Operator(lab_host("28.5", "nft"))
    operator.host.run(["rm", "-rf", "/etc/docker"])
    before = host_state(operator.host)
    operator.remedy("apply", "--yes", check=True)
    operator.remedy("rollback", "--yes", check=True)
    assert differences(before, host_state(operator.host)) == []


# --- plans that are old ----------------------------------------------------------------------------------------


def test_a_saved_plan_is_stale_when_a_container_was_made_again(lab_host: LabHost) -> None:
    operator = Operator(lab_host("28.5", "nft"))
    operator.remedy("plan", "-o", "friday.plan", check=True)
    operator.host.run(["docker", "rm", "-f", "dev1-api-3"])
    operator.host.run(["docker", "run", "-d", "--name", "dev1-api-3", "-p", "5003:8080", "remedy-lab:latest", "nginx"])
    before = host_state(operator.host)
    done = operator.remedy("apply", "friday.plan", "--yes")
    assert done.status == 6
    assert "container dev1-api-3: changed" in done.stderr
    assert differences(before, host_state(operator.host)) == []
    error = json.loads(operator.remedy("apply", "friday.plan", "--yes", "--format", "json").stdout)["error"]
    assert error["code"] == "stale"
    assert operator.host.run(["ls", DIRECTORY]).stdout.split() == ["friday.plan", "remedy.yaml"]
