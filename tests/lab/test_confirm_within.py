"""--confirm-within: without `remedy confirm` the host comes back by itself, whatever happens to remedy and the host."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from conftest import LabHost
from operating import Operator
from state import State, about_ipv6_proxies, differences, host_state, without_processes

pytestmark = pytest.mark.lab

DEADLINE = "5s"


@pytest.fixture(scope="module")
def shared(module_lab_host: LabHost) -> Iterator[tuple[Operator, State]]:
    """One host for all of them: every test gives it back as it was."""
    operator = Operator(module_lab_host("28.5", "nft"))
    yield operator, host_state(operator.host)


def wait_until_undone(operator: Operator) -> None:
    operator.wait_for("rolled-back", seconds=90)
    deadline = time.monotonic() + 20
    while guard_units(operator) and time.monotonic() < deadline:
        time.sleep(0.1)


def guard_units(operator: Operator) -> str:
    listed = operator.host.run(["systemctl", "list-units", "--all", "--no-legend", "--plain", "remedy*"]).stdout
    files = operator.host.run(["sh", "-c", "find /etc/systemd /run/systemd -name '*remedy*'"]).stdout
    return listed + files


def test_without_confirm_the_host_is_as_it_was(shared: tuple[Operator, State]) -> None:
    operator, before = shared
    report = operator.json("apply", "--yes", "--confirm-within", DEADLINE)
    assert (report["result"], report["exit_code"]) == ("pending", 0)
    assert guard_units(operator) != ""
    wait_until_undone(operator)
    assert guard_units(operator) == ""
    assert differences(before, host_state(operator.host)) == []
    assert operator.json("status")["state"] == "clean"
    assert operator.json("history")["runs"][0]["rolled_back_by"] == "guard"
    late = operator.remedy("confirm")
    assert late.status == 1
    assert "no run to confirm" in late.stderr


@pytest.mark.parametrize("record", ["done bridge", "intent userland_proxy"])
def test_a_remedy_that_is_killed_at_work_is_undone_at_its_deadline(shared: tuple[Operator, State], record: str) -> None:
    operator, before = shared
    runs = len(operator.runs())
    running = operator.start("apply", "--yes", "--confirm-within", DEADLINE)
    operator.wait_for_new_run(runs, running)
    operator.wait_for(record, running=running)
    running.kill()
    running.wait()
    wait_until_undone(operator)
    assert differences(before, host_state(operator.host)) == []


def test_the_terminal_may_die_before_the_deadline(shared: tuple[Operator, State]) -> None:
    operator, before = shared
    with operator.start_on_terminal("apply", "--yes", "--confirm-within", DEADLINE) as terminal:
        assert "waiting for `remedy confirm`" in terminal.read_until("waiting for `remedy confirm`")
    wait_until_undone(operator)
    assert differences(before, host_state(operator.host)) == []


def test_confirmed_in_time_it_stays_and_the_guard_is_gone(shared: tuple[Operator, State]) -> None:
    operator, before = shared
    report = operator.json("apply", "--yes", "--confirm-within", "60s")
    status = operator.json("status")
    assert status["state"] == "pending"
    assert status["deadline"] == report["deadline"]
    assert operator.remedy("status", "--detailed-exitcode").status == 8
    waiting = operator.remedy("apply", "--yes")
    assert waiting.status == 8
    assert "waits to be confirmed" in waiting.stderr

    assert operator.remedy("confirm").status == 0
    assert guard_units(operator) == ""
    again = operator.json("confirm")
    assert again["exit_code"] == 0
    assert "already" in again["message"]
    assert operator.json("status")["state"] == "applied"
    assert host_state(operator.host, traffic=False)["docker-proxy"] == []

    operator.remedy("rollback", "--yes", check=True)
    assert differences(before, host_state(operator.host)) == []


def test_rollback_before_the_deadline_takes_the_guard_along(shared: tuple[Operator, State]) -> None:
    operator, before = shared
    operator.remedy("apply", "--yes", "--confirm-within", "60s", check=True)
    operator.remedy("rollback", "--yes", check=True)
    assert guard_units(operator) == ""
    assert differences(before, host_state(operator.host)) == []


def test_a_guard_that_is_killed_in_the_middle_begins_again(shared: tuple[Operator, State]) -> None:
    operator, before = shared
    operator.remedy("apply", "--yes", "--confirm-within", "3s", check=True)
    unit = f"remedy-guard-{operator.runs()[-1].name}.service"
    operator.wait_for("reverting userland_proxy")
    operator.host.run(["systemctl", "kill", "--signal=KILL", unit])
    wait_until_undone(operator)
    assert operator.events().count("rollback-started") == 2
    assert differences(before, host_state(operator.host)) == []


def test_the_guard_writes_over_an_edited_daemon_json_and_keeps_the_edit(shared: tuple[Operator, State]) -> None:
    operator, before = shared
    operator.remedy("apply", "--yes", "--confirm-within", "4s", check=True)
    edited = b'{"userland-proxy": false, "debug": true}\n'
    operator.host.write_file("/etc/docker/daemon.json", edited)
    wait_until_undone(operator)
    assert differences(before, host_state(operator.host)) == []
    assert (operator.runs()[-1] / "overwritten-daemon.json").read_bytes() == edited


def test_a_reboot_before_the_deadline_does_not_save_the_change(shared: tuple[Operator, State]) -> None:
    operator, before = shared
    operator.remedy("apply", "--yes", "--confirm-within", "10s", check=True)
    operator.host.reboot()
    wait_until_undone(operator)
    assert guard_units(operator) == ""
    operator.wait_for_traffic(before)
    left = differences(without_processes(before), without_processes(host_state(operator.host)))
    assert [line for line in left if not about_ipv6_proxies(line)] == []
