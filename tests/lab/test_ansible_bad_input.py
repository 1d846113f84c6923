"""What goes wrong on the way of a rollout: said clearly, and no host is left half changed or without its leash.

Remedy need not be installed for most of it: the lab's own serves, which is on every lab host.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import LabHost
from controlling import SPEC, Controller, changed, health_check
from state import about_ipv6_proxies, differences, host_state, without_processes

from remedy.lab import Host

pytestmark = pytest.mark.lab

LABS_OWN = "/usr/local/bin/remedy"
OLD_PYTHON = "#!/bin/sh\necho 3.9\n"
OTHER_VERSION = "#!/bin/sh\necho remedy 0.9.3\n"
HOSTILE = 'shop "ü" $(touch /tmp/pwned);`id`|x'
LOCK_HOLDER = """
import fcntl, os, sys
os.makedirs("/var/lib/remedy", 0o700, exist_ok=True)
lock = open("/var/lib/remedy/lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""

# A client that the engine cannot serve without docker-proxy.
IPV6_CLIENT = """
import socket, sys
held = socket.create_connection(("::1", 5001))
print("held", flush=True)
sys.stdin.read()
"""

APPLY_ALONE = """
- name: Apply
  hosts: all
  gather_facts: false
  become: true
  tasks:
    - name: Apply
      docker_remedy.fleet.remedy:
        state: applied
        executable: "{{ remedy_executable }}"
      async: "{{ seconds | default(0) }}"
      poll: 1
"""


class Pair:
    """Two hosts whose firewalls differ, with remedy and a spec on both, and what they were like."""

    def __init__(self, first: Host, second: Host, directory: Path) -> None:
        """directory: where to write the playbook that applies without planning first, canary, and leash."""
        self.apply_alone = directory / "apply_alone.yml"
        self.apply_alone.write_text(APPLY_ALONE)
        self.hosts = (first, second)
        self.first, self.second = self.hosts
        for host in self.hosts:
            host.run(["useradd", "--create-home", "guest"])
            host.write_file("/etc/remedy/remedy.yaml", json.dumps(SPEC))
            host.write_file("/opt/odd/python3.9", OLD_PYTHON, 0o755)
            host.write_file("/opt/odd/remedy", OTHER_VERSION, 0o755)
        self.before = [host_state(host) for host in self.hosts]

    def controller(self, directory: Path, **variables: Any) -> Controller:
        """Both in the inventory, the one with iptables-nft first: the canary."""
        return Controller(directory, {host.name: {} for host in self.hosts}, remedy_executable=LABS_OWN, **variables)

    def differences(self, *, rebooted: bool = False) -> list[str]:
        """What is different from the beginning, on both. rebooted: the first was, meanwhile."""
        found = []
        for host, before in zip(self.hosts, self.before, strict=True):
            after = host_state(host)
            if rebooted and host is self.first:
                changes = differences(without_processes(before), without_processes(after))
                changes = [line for line in changes if not about_ipv6_proxies(line)]
            else:
                changes = differences(before, after)
            found += [f"{host.name}: {line}" for line in changes]
        return found

    def last_run(self, host: Host) -> dict[str, Any]:
        """The newest entry of `remedy history`."""
        runs: list[dict[str, Any]] = json.loads(host.run(["remedy", "history", "--format", "json"]).stdout)["runs"]
        return runs[0] if runs else {"result": "none"}

    def wait_for(self, host: Host, result: str, seconds: float = 60) -> None:
        """Until the newest run of a host has ended so, and the guard that has seen to it is gone, too."""
        deadline = time.monotonic() + seconds
        while self.last_run(host)["result"] != result or self.guards(host):
            assert time.monotonic() < deadline, (self.last_run(host), self.guards(host))
            time.sleep(0.3)

    @staticmethod
    def guards(host: Host) -> str:
        """The services that wait to undo a run, or are just doing it."""
        return host.run(["systemctl", "list-units", "--no-legend", "--plain", "remedy-guard-*"], check=False).stdout


@pytest.fixture(scope="module")
def pair(module_lab_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(module_lab_host("28.5", "nft"), module_lab_host("28.5", "legacy"), tmp_path_factory.mktemp("playbook"))


def failures(output: str) -> dict[str, dict[str, Any]]:
    """Host -> what its task returned, of the tasks that failed."""
    found = re.findall(r"^fatal: \[(.*)\]: (?:FAILED|UNREACHABLE)! => (\{.*\})$", output, re.MULTILINE)
    return {name: json.loads(result) for name, result in found}


def test_no_host_is_touched_where_one_of_them_cannot_be_planned(pair: Pair, tmp_path: Path) -> None:
    pair.first.write_file("/root/other.yaml", json.dumps({**SPEC, "load_balancer": "dev1-nginx-1"}))
    pair.first.write_file("/root/broken.yaml", "version: 1\nbackends: [\n")
    here = {"ansible_host": pair.first.name}
    hosts = {
        "well": {"ansible_host": pair.second.name},
        "missing": {**here, "remedy_executable": "/opt/nowhere/bin/remedy"},
        "other-version": {**here, "remedy_executable": "/opt/odd/remedy"},
        "other-lb": {**here, "remedy_config": "/root/other.yaml"},
        "broken-spec": {**here, "remedy_config": "/root/broken.yaml"},
        "no-root": {**here, "ansible_user": "guest"},
        "gone": {"ansible_host": "nobody-there"},
        HOSTILE: {**here, "remedy_config": "/root/$(touch /tmp/pwned)ü.yaml"},
    }
    output = Controller(tmp_path, hosts, remedy_executable=LABS_OWN).fail_to_play("apply", "--forks", "8")

    failed = failures(output)
    assert failed.keys() == hosts.keys() - {"well"}
    assert "remedy is not installed on this host" in failed["missing"]["msg"]
    assert "run the role" in failed["missing"]["next_step"]
    assert "remedy 0.9.3 is on this host, and this collection speaks with" in failed["other-version"]["msg"]
    assert "/root/broken.yaml" in failed["broken-spec"]["msg"]
    assert "su: Authentication failure" in failed["no-root"]["module_stderr"]
    assert failed["gone"]["unreachable"] is True
    assert "dev1-nginx-1" in failed["other-lb"]["msg"]
    assert "/root/$(touch /tmp/pwned)ü.yaml" in failed[HOSTILE]["msg"]
    for host in pair.hosts:
        assert pair.last_run(host)["result"] == "none"
        assert host.run(["find", "/tmp/pwned"], check=False).stdout == ""
    assert not Path("/tmp/pwned").exists()
    assert pair.differences() == []


def test_a_plan_that_is_refused_on_one_host_ends_the_rollout_before_another_is_touched(
    pair: Pair, tmp_path: Path
) -> None:
    client = pair.second.popen(["python3", "-c", IPV6_CLIENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert client.stdout is not None and client.stdout.readline() == b"held\n"
    try:
        output = pair.controller(tmp_path).fail_to_play("apply")
    finally:
        client.kill()
        client.wait()
    failed = failures(output)
    assert failed.keys() == {pair.second.name}
    assert "[::1]:5001" in failed[pair.second.name]["msg"]
    for host in pair.hosts:
        assert pair.last_run(host)["result"] == "none"
    assert pair.differences() == []


def test_check_mode_says_what_a_bare_host_would_get(pair: Pair, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    version = pair.first.run(
        ["/usr/bin/python3", "-c", "import sys; print('%d%d' % sys.version_info[:2])"]
    ).stdout.strip()
    for name in (
        "docker_remedy-0.1.0-py3-none-any",
        "pip-26-py3-none-any",
        f"pydantic_core-2-cp{version}-cp{version}-linux",
    ):
        (wheels / f"{name}.whl").touch()
    hosts = {
        "bare": {"ansible_host": pair.first.name, "remedy_spec": SPEC},
        "old-python": {"ansible_host": pair.first.name, "remedy_python": "/opt/odd/python3.9"},
        "no-python": {"ansible_host": pair.second.name, "remedy_python": "/opt/odd/python"},
        "no-wheels": {"ansible_host": pair.second.name, "remedy_wheels": str(tmp_path / "nowhere")},
        "no-iptables": {"ansible_host": pair.second.name, "remedy_legacy": True},
    }
    controller = Controller(tmp_path, hosts, remedy_wheels=str(wheels))
    output = controller.fail_to_play("install", "--check", "--diff", "--forks", "5")

    failed = failures(output)
    assert failed.keys() == hosts.keys() - {"bare"}
    assert "remedy needs Python 3.11 or later" in failed["old-python"]["msg"]
    assert "/opt/odd/python3.9 on old-python says: 3.9" in failed["old-python"]["msg"]
    assert "/opt/odd/python on no-python says" in failed["no-python"]["msg"]
    assert "make dist" in failed["no-wheels"]["msg"]
    assert "make dist LEGACY=1" in failed["no-iptables"]["msg"]
    assert changed(output, "bare") > 0
    assert "load_balancer: dev1-haproxy-1" in output
    assert pair.differences() == []


def test_another_remedy_at_work_is_named_and_left_alone(pair: Pair, tmp_path: Path) -> None:
    holder = pair.first.popen(["python3", "-c", LOCK_HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    try:
        output = pair.controller(tmp_path).fail_to_play(pair.apply_alone, "--limit", pair.first.name)
    finally:
        holder.kill()
        holder.wait()
    (failed,) = failures(output).values()
    assert failed["exit_code"] == 5
    assert "another remedy is at work on this host" in failed["msg"]
    assert "wait until it is done" in failed["next_step"]


def test_a_task_in_the_background_works_over_both_firewalls(pair: Pair, tmp_path: Path) -> None:
    controller = pair.controller(tmp_path)
    output = controller.play(pair.apply_alone, seconds=120)
    for host in pair.hosts:
        assert changed(output, host.name) == 1
        assert pair.last_run(host)["result"] == "applied"
    summary = controller.play("rollback")
    assert re.search(rf"{pair.first.name} +28\.5\S* +iptables-nft +0 -> 9 .* rolled back", summary), summary
    assert re.search(rf"{pair.second.name} +28\.5\S* +iptables-legacy +0 -> 9 .* rolled back", summary), summary
    assert pair.differences() == []


def test_a_controller_that_is_interrupted_leaves_no_host_without_its_leash(pair: Pair, tmp_path: Path) -> None:
    playing: list[subprocess.Popen[str]] = []
    with health_check(lambda: os.killpg(playing[0].pid, signal.SIGINT)) as url:
        controller = pair.controller(tmp_path, remedy_health_url=url, remedy_confirm_within="5s")
        playing.append(controller.start("apply"))
        output, _ = playing[0].communicate(timeout=120)
    assert playing[0].returncode != 0
    assert "Traceback" not in output
    pair.wait_for(pair.first, "rolled-back")
    assert pair.differences() == []


def test_a_controller_that_is_killed_in_the_middle_of_a_batch_leaves_no_host_changed(
    pair: Pair, tmp_path: Path
) -> None:
    playing: list[subprocess.Popen[str]] = []
    with health_check(lambda: os.killpg(playing[0].pid, signal.SIGKILL)) as url:
        controller = pair.controller(tmp_path, remedy_health_url=url, remedy_confirm_within="10s")
        playing.append(controller.start("apply", remedy_serial=["100%"]))
        output, _ = playing[0].communicate(timeout=120)
    assert playing[0].returncode == -signal.SIGKILL, output
    for host in pair.hosts:
        pair.wait_for(host, "rolled-back")
    assert pair.differences() == []


def test_a_host_that_reboots_in_the_middle_is_kept_or_undone_and_a_second_controller_waits(
    pair: Pair, tmp_path: Path
) -> None:
    said: list[str] = []
    (tmp_path / "second").mkdir()

    def meanwhile() -> None:
        second = pair.controller(tmp_path / "second")
        said.append(second.fail_to_play(pair.apply_alone, "--limit", pair.first.name))
        pair.first.reboot(hard=True)

    with health_check(meanwhile) as url:
        controller = pair.controller(tmp_path, remedy_health_url=url, remedy_confirm_within="5m")
        status, output = controller.try_to_play("apply", "--limit", pair.first.name)

    (refused,) = failures(said[0]).values()
    assert refused["exit_code"] == 8
    assert "waits to be confirmed" in refused["msg"]
    assert pair.last_run(pair.first)["result"] == ("applied" if status == 0 else "rolled-back"), output
    if status == 0:
        controller.play("rollback", "--limit", pair.first.name)
    assert pair.differences(rebooted=True) == []


# The last one: the canary is off for a while.
def test_a_host_that_is_lost_ends_the_rollout_and_heals_when_it_is_back(pair: Pair, tmp_path: Path) -> None:
    runs = pair.last_run(pair.second)
    with health_check(lambda: stop(pair.first)) as url:
        controller = pair.controller(tmp_path, remedy_health_url=url, remedy_confirm_within="5s")
        output = controller.fail_to_play("apply")
    assert re.search(rf"{pair.first.name} .* failed: lost before it was confirmed; .* undoes .* within 5s", output), (
        output
    )
    assert f"the rollout ends here: {pair.first.name}." in output
    assert pair.last_run(pair.second) == runs
    pair.first.reboot()
    pair.wait_for(pair.first, "rolled-back")
    assert pair.differences(rebooted=True) == []


def stop(host: Host) -> None:
    """Shut a host down, and wait until it is off."""
    host.run(["systemctl", "poweroff"], check=False, timeout=10)
    deadline = time.monotonic() + 20
    while host.is_running and time.monotonic() < deadline:
        time.sleep(0.1)
