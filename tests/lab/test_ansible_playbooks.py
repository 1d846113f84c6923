"""The playbooks as shipped, on a real host: installed offline, applied twice, rolled back, removed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import LabHost
from controlling import SPEC, Controller, changed
from state import differences, host_state

pytestmark = pytest.mark.lab


def test_the_playbooks_install_apply_once_and_put_everything_back(
    lab_host: LabHost, wheels: Path, tmp_path: Path
) -> None:
    host = lab_host(engine="28.5", firewall="nft")
    before = host_state(host)
    controller = Controller(
        tmp_path,
        {host.name: {}},
        remedy_spec=SPEC,
        remedy_wheels=str(wheels),
        remedy_confirm_within="2m",
    )

    assert changed(controller.play("install"), host.name) > 0
    assert changed(controller.play("install"), host.name) == 0

    installed = host_state(host)
    planned = controller.play("apply", "--check", "--diff")
    assert "+userland-proxy off" in planned
    assert differences(installed, host_state(host)) == []

    applied = controller.play("apply")
    assert re.search(r"28\.5\S* +iptables-nft +9 -> 0 .* applied", applied)
    status = json.loads(host.run(["/opt/remedy/bin/remedy", "status", "--format", "json"]).stdout)
    assert (status["state"], status["docker_proxy_processes"], status["drift"]) == ("applied", 0, [])
    assert changed(controller.play("apply"), host.name) == 0

    assert changed(controller.play("rollback"), host.name) == 1
    assert differences(installed, host_state(host)) == []

    controller.play("install", remedy_state="absent")
    left = host.run(["find", "/opt/remedy", "/etc/remedy", "/var/lib/remedy", "-maxdepth", "0"], check=False)
    assert left.stdout == ""
    assert differences(before, host_state(host)) == []
