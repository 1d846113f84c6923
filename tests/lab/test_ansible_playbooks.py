"""The playbooks as shipped, on a real host: installed offline, planned, applied as planned, rolled back, removed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from conftest import LabHost
from controlling import REPOSITORY, SPEC, Controller, changed
from state import differences, host_state

from remedy.lab import Host

pytestmark = pytest.mark.lab


class FleetController(Controller):
    """It has `remedy fleet`, too; its inventory has a second host that is not there yet."""

    def __init__(self, host: Host, directory: Path, wheels: Path) -> None:
        hosts = {host.name: {}, "later\x1b]0;x": {}}
        variables = {"remedy_spec": SPEC, "remedy_wheels": str(wheels), "remedy_watcher": True}
        super().__init__(directory, hosts, remedy_confirm_within="2m", **variables)
        self.program = installed(directory / "venv", wheels)
        self.limit = f"--limit={host.name}"

    def start(self, playbook: str | Path, *options: str, **variables: Any) -> subprocess.Popen[str]:
        """Without another --limit, play for the host that is there."""
        return super().start(playbook, self.limit, *options, **variables)

    def fleet(self, command: str, *options: str, status: int = 0) -> Any:
        """Run `remedy fleet` as it is installed from its wheel, with the wheel's collection, and return its answer."""
        environment = {key: value for key, value in self._environment().items() if key != "ANSIBLE_COLLECTIONS_PATH"}
        line = [self.program, "fleet", command, "-i", self.inventory, "--format", "json", *options]
        done = subprocess.run(
            line, capture_output=True, text=True, check=False, timeout=500, cwd=self.directory, env=environment
        )
        assert done.returncode == status, done.stdout[-6000:] + done.stderr[-2000:]
        return json.loads(done.stdout)


def installed(venv: Path, wheels: Path) -> Path:
    """Install remedy's wheel without a network; what it needs is that of the environment of the tests."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True, timeout=60)
    (wheel,) = wheels.glob("docker_remedy-*.whl")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", f"--python={venv}/bin/python", "install"]
    subprocess.run([*pip, "--no-index", "--no-deps", wheel], check=True, timeout=60)
    (packages,) = (venv / "lib").glob("python*/site-packages")
    (packages / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return venv / "bin" / "remedy"


def test_the_wheel_holds_the_playbooks_as_they_are_here(wheels: Path, tmp_path: Path) -> None:
    remedy = installed(tmp_path / "venv", wheels)
    said = subprocess.run([remedy, "fleet", "playbooks"], capture_output=True, text=True, check=True, cwd=tmp_path)
    packaged = Path(said.stdout.strip())
    assert packaged.is_relative_to(tmp_path / "venv")
    tracked = subprocess.run(
        ["git", "-C", REPOSITORY, "ls-files", "playbooks"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    here = {Path(name).relative_to("playbooks") for name in tracked}
    there = {path.relative_to(packaged) for path in packaged.rglob("*") if path.is_file()}
    assert {path for path in there if "__pycache__" not in path.parts} == here
    assert all((packaged / path).read_bytes() == (REPOSITORY / "playbooks" / path).read_bytes() for path in here)


@pytest.mark.timeout(1200)  # a minute and a half where nobody else is at work
def test_the_playbooks_install_apply_once_and_put_everything_back(
    lab_host: LabHost, wheels: Path, tmp_path: Path
) -> None:
    host = lab_host(engine="28.5", firewall="nft")
    before = host_state(host)
    controller = FleetController(host, tmp_path, wheels)

    assert changed(controller.play("install"), host.name) > 0
    assert changed(controller.play("install"), host.name) == 0
    assert host.run(["systemctl", "is-active", "remedy-watch"]).stdout == "active\n"

    installed = host_state(host)
    planned = controller.play("apply", "--check", "--diff")
    assert "+userland-proxy off" in planned

    # The second host has no plan: it is told, and left out when the others are applied.
    fleet = controller.fleet("plan", "-o", "plans", status=1)
    assert [row["result"] for row in fleet["hosts"]] == ["changes", "failed"]
    assert fleet["hosts"][1]["error"]["code"] == "unreachable"
    assert fleet["groups"][0]["hosts"] == [host.name]
    assert [path.name for path in tmp_path.glob("plans/*")] == [f"{host.name}.plan"]
    assert differences(installed, host_state(host)) == []

    saved = {"remedy_plans_dir": "plans"}
    # At 127.0.0.1:8080 there is something to answer on that host alone.
    check = {"remedy_health_url": "http://127.0.0.1:8080/", "remedy_health_from": host.name}
    applied = controller.fail_to_play("apply", "--limit=all", **saved, **check)
    assert re.search(r"later.*not touched: there is no saved plan", applied)
    assert re.search(r"28\.5\S* +iptables-nft +9 -> 0 .* applied", applied)
    status = json.loads(host.run(["/opt/remedy/bin/remedy", "status", "--format", "json"]).stdout)
    assert (status["state"], status["docker_proxy_processes"], status["drift"]) == ("applied", 0, [])
    assert changed(controller.play("apply"), host.name) == 0
    assert f"exit code 6, stale: {host.name} is left out" in controller.fail_to_play("apply", **saved)

    (row,) = controller.fleet("report", controller.limit)["hosts"]
    assert (row["status"]["state"], row["status"]["drift"], row["error"]) == ("applied", [], None)

    assert changed(controller.play("rollback"), host.name) == 1
    assert differences(installed, host_state(host)) == []

    controller.play("install", remedy_state="absent")
    places = ("/opt/remedy", "/etc/remedy", "/var/lib/remedy", "/etc/systemd/system/remedy-watch.service")
    left = host.run(["find", *places, "-maxdepth", "0"], check=False)
    assert left.stdout == ""
    assert differences(before, host_state(host)) == []
