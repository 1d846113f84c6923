"""The host restarts between apply and rollback, or in the middle of either: rollback still finds the way back.

Containers have other pids afterwards and may have swapped addresses, so the states are compared by names.
"""

from __future__ import annotations

import pytest
from conftest import LabHost
from operating import Operator
from state import State, about_ipv6_proxies, differences, host_state, without_processes

pytestmark = pytest.mark.lab

ENGINES_AND_FIREWALLS = (("28.5", "nft"), ("20.10", "legacy"))

# While live-restore is held, daemon.json says userland-proxy false: an engine that boots then comes up switched.
MOMENTS = (
    ("apply", "done hold_live_restore"),
    ("apply", "intent userland_proxy"),
    ("apply", "done userland_proxy"),
    ("rollback", "reverted release_live_restore"),
    ("rollback", "reverting userland_proxy"),
    ("rollback", "reverted userland_proxy"),
)


@pytest.mark.parametrize(("engine", "firewall"), ENGINES_AND_FIREWALLS)
def test_rollback_after_reboots_at_every_critical_moment(lab_host: LabHost, engine: str, firewall: str) -> None:
    operator = Operator(lab_host(engine, firewall))
    before = host_state(operator.host)

    operator.remedy("apply", "--yes", check=True)
    operator.host.reboot()
    assert operator.json("status")["state"] == "applied"
    assert "docker restart dev1-api-1" in roll_back(operator)
    assert what_is_left(operator, before) == []

    for command, record in MOMENTS:
        kill_and_reboot(operator, command, record)
        roll_back(operator)
        assert what_is_left(operator, before) == [], f"killed and rebooted at {command}: {record}"


def kill_and_reboot(operator: Operator, command: str, record: str) -> None:
    if command == "rollback":
        operator.remedy("apply", "--yes", check=True)
    runs, known = len(operator.runs()), len(operator.events()) if command == "rollback" else 0
    running = operator.start(command, "--yes")
    if command == "apply":
        operator.wait_for_new_run(runs, running)
    operator.wait_for(record, running=running, known=known)
    running.kill()
    running.wait()
    operator.host.reboot(hard=True)
    assert operator.json("status")["state"] == "interrupted"


def roll_back(operator: Operator) -> str:
    done = operator.remedy("rollback", "--yes")
    assert done.status == 0, done.stdout + done.stderr
    return done.stdout


def what_is_left(operator: Operator, before: State) -> list[str]:
    operator.wait_for_traffic(before)
    left = differences(without_processes(before), without_processes(host_state(operator.host)))
    still = [line for line in left if not about_ipv6_proxies(line)]
    if left != still:  # give the next round what this one has taken
        names = operator.host.run(["docker", "ps", "--format", "{{.Names}}"]).stdout.split()
        operator.host.run(["docker", "restart", "-t", "0", *names], timeout=60)
        operator.wait_for_traffic(before)
    return still
