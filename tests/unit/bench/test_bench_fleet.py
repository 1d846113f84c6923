"""What the fleet benchmark makes of a rollout: its batches, the same with tasks that do nothing, and the table."""

from __future__ import annotations

import json

import pytest
from rendering import rows_of

from remedy.bench.fleet import Batch, FleetResult
from remedy.bench.fleet_hosts import MEBIBYTES_A_HOST, Call, check_memory
from remedy.bench.fleet_play import idle_playbook, plays_of
from remedy.bench.fleet_table import fleet_lines, fleet_table, fleet_verdict
from remedy.errors import LabError


def told(moment: float, event: str, **values: object) -> tuple[float, str]:
    return moment, json.dumps({"event": event, **values})


def result(action: str, host: str, status: str = "ok") -> tuple[float, str]:
    return told(3.0, "result", action=action, host=host, status=status)


LINES = [
    (0.5, "[WARNING]: something that Ansible wants to say"),
    told(1.0, "play", name="Plan", hosts=["a", "b"]),
    told(1.5, "task", action="docker_remedy.fleet.remedy"),
    result("docker_remedy.fleet.remedy", "a"),
    result("docker_remedy.fleet.remedy", "b"),
    told(1.9, "task", action="ansible.builtin.debug"),
    result("ansible.builtin.debug", "a"),
    told(4.0, "play", name="Apply", hosts=["a"]),
    told(4.1, "task", action="ansible.builtin.uri"),
    result("ansible.builtin.uri", "a", "skipped"),
    told(4.2, "task", action="ansible.builtin.meta"),
]


def test_each_batch_has_its_hosts_tasks_and_time() -> None:
    plan, apply = plays_of(LINES, ended=9.0)
    assert (plan.name, plan.hosts, plan.seconds) == ("Plan", ("a", "b"), 3.0)
    assert [(task.action, task.hosts) for task in plan.tasks] == [
        ("docker_remedy.fleet.remedy", 2),
        ("ansible.builtin.debug", 1),
    ]
    assert (apply.hosts, apply.seconds, len(apply.tasks)) == (("a",), 5.0, 1)


def test_the_idle_playbook_has_the_same_tasks_which_do_nothing() -> None:
    plan, apply = idle_playbook(list(plays_of(LINES, ended=9.0)))
    assert plan["hosts"] == "a,b"
    ping, note = plan["tasks"]
    assert "ansible.builtin.ping" in ping
    assert ping["become"] is True
    assert "run_once" not in ping
    assert "ansible.builtin.set_fact" in note
    assert note["run_once"] is True
    (skipped,) = apply["tasks"]
    assert skipped["when"] is False


def test_hosts_that_memory_has_no_room_for_are_not_begun() -> None:
    check_memory(3, 3 * MEBIBYTES_A_HOST)
    with pytest.raises(LabError) as caught:
        check_memory(30, 4 * MEBIBYTES_A_HOST)
    assert "--hosts 4" in (caught.value.next_step or "")


def measured(*not_applied: str) -> FleetResult:
    calls = tuple(
        (Call(command="plan", exit_code=0, seconds=1.0), Call(command="plan", exit_code=0, seconds=seconds))
        for seconds in (1.0, 2.0, 4.0)
    )
    return FleetResult(
        engine="28.5",
        firewall="nft",
        forks=5,
        hosts=3,
        mebibytes=390,
        rollout=30.0,
        replayed=12.0,
        idle=9.0,
        batches=(Batch(name="Apply", hosts=1, tasks=2, seconds=4.0),),
        calls=calls,
        not_applied=not_applied,
    )


def test_the_parts_of_a_rollout_are_the_whole() -> None:
    rows = rows_of(fleet_table(measured()))
    assert ["the rollout", "30.0", "10.00", ""] in rows
    assert ["Ansible's own: as many tasks that do nothing", "9.0", "3.00", ""] in rows
    assert ["the playbooks and modules beyond that", "3.0", "1.00", ""] in rows
    assert ["remedy at work on the hosts", "18.0", "6.00", ""] in rows
    assert ["plan, 2 times", "", "3.00", "5.00"] in rows
    assert fleet_verdict(measured()) == "3 hosts in 30 s, 10.0 s each; beyond Ansible's own 7.0 s each"


def test_a_host_that_is_not_as_it_should_be_is_named() -> None:
    assert fleet_lines(measured()) == ["All 3 engines ran; the hosts took 130 MiB each."]
    assert "NOT applied: bench-1-2" in fleet_lines(measured("bench-1-2"))
