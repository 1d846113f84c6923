"""The playbooks as shipped, on a real host: installed offline, applied twice, rolled back, removed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import LabHost
from state import differences, host_state

from remedy.lab import Host

REPOSITORY = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
SPEC = {
    "version": 1,
    "load_balancer": "dev1-haproxy-1",
    "backends": [{"containers": ["dev1-api-1", "dev1-api-2", "dev1-api-3"], "port": 8080}],
    "remedies": {"userland_proxy": False},
    "policy": {"restart_engine": True},
}


class Controller:
    """Runs the playbooks of the checkout against one host."""

    def __init__(self, host: Host, directory: Path, wheels: Path) -> None:
        self.directory = directory
        self.inventory = directory / "hosts.json"
        connection = {"ansible_connection": "remedy_lab", "ansible_become_method": "ansible.builtin.su"}
        variables = {**connection, "remedy_spec": SPEC, "remedy_wheels": str(wheels), "remedy_confirm_within": "2m"}
        self.inventory.write_text(json.dumps({"all": {"hosts": {host.name: {}}, "vars": variables}}))

    def play(self, playbook: str, *options: str) -> str:
        """Play to its end, and return what was written. A playbook that fails fails the test."""
        done = subprocess.run(
            [PROGRAMS / "ansible-playbook", "-i", self.inventory, REPOSITORY / f"playbooks/{playbook}.yml", *options],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            cwd=self.directory,
            env={
                **os.environ,
                "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
                "ANSIBLE_CONNECTION_PLUGINS": str(REPOSITORY / "molecule/plugins/connection"),
                "ANSIBLE_PIPELINING": "1",
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_LOCAL_TEMP": str(self.directory / "tmp"),
            },
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        return done.stdout


def changed(output: str, host: Host) -> int:
    found = re.search(rf"^{re.escape(host.name)} .*changed=(\d+)", output, re.MULTILINE)
    assert found is not None, output
    return int(found[1])


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make dist` collects, for the Python of one engine's host."""
    directory = tmp_path_factory.mktemp("wheels")
    command = [sys.executable, "-m", "remedy.wheels", str(directory), "--checkout", str(REPOSITORY), "--python", "3.14"]
    subprocess.run(command, check=True, timeout=300)
    return directory


def test_the_playbooks_install_apply_once_and_put_everything_back(
    lab_host: LabHost, wheels: Path, tmp_path: Path
) -> None:
    host = lab_host(engine="28.5", firewall="nft")
    before = host_state(host)
    controller = Controller(host, tmp_path, wheels)

    assert changed(controller.play("install"), host) > 0
    assert changed(controller.play("install"), host) == 0

    installed = host_state(host)
    planned = controller.play("apply", "--check", "--diff")
    assert "+userland-proxy off" in planned
    assert differences(installed, host_state(host)) == []

    applied = controller.play("apply")
    assert re.search(r"28\.5\S* +iptables-nft +9 -> 0 .* applied", applied)
    status = json.loads(host.run(["/opt/remedy/bin/remedy", "status", "--format", "json"]).stdout)
    assert (status["state"], status["docker_proxy_processes"], status["drift"]) == ("applied", 0, [])
    assert changed(controller.play("apply"), host) == 0

    assert changed(controller.play("rollback"), host) == 1
    assert differences(installed, host_state(host)) == []

    controller.play("install", "-e", "remedy_state=absent")
    left = host.run(["find", "/opt/remedy", "/etc/remedy", "/var/lib/remedy", "-maxdepth", "0"], check=False)
    assert left.stdout == ""
    assert differences(before, host_state(host)) == []
