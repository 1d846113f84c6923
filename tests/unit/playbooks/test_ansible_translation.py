"""What the Ansible modules make of remedy's answers, without Ansible and without a host."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from remedy import __version__

COLLECTION = Path(__file__).parents[3] / "playbooks/collections/ansible_collections/docker_remedy/fleet"


@pytest.fixture(scope="module")
def translation() -> ModuleType:
    path = COLLECTION / "plugins/module_utils/translation.py"
    spec = importlib.util.spec_from_file_location("translation", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_report(**changes: Any) -> dict[str, Any]:
    report = {
        "run": "20261104-101500-3fa9",
        "command": "apply",
        "result": "applied",
        "exit_code": 0,
        "actions": [],
        "probes": [],
        "message": "",
        "warnings": [],
        "deadline": None,
        "leftover": [],
        "log": "/var/lib/remedy/runs/x/journal.jsonl",
    }
    return {**report, **changes}


def plan(**changes: Any) -> dict[str, Any]:
    action = {
        "id": "userland_proxy",
        "kind": "userland_proxy",
        "summary": "userland-proxy off",
        "reason": "slow",
        "before": "on",
        "after": "off",
        "inverse": "on again",
        "disruption": {"level": "restart"},
        "content": {"path": "/etc/docker/daemon.json", "raw": "c2VjcmV0", "mode": 420},
    }
    paths = [
        {"from": "lb", "to": "172.17.0.1:5001", "before": "docker-proxy", "after": "dnat"},
        {"from": "host", "to": "172.17.0.1:5001", "before": "dnat", "after": "dnat"},
    ]
    return {"changes": True, "actions": [action], "paths": paths, "refusals": [], "warnings": [], **changes}


def test_the_collection_has_remedys_version(translation: ModuleType) -> None:
    galaxy = yaml.safe_load((COLLECTION / "galaxy.yml").read_text())
    assert galaxy["version"] == translation.COLLECTION_VERSION == __version__


@pytest.mark.parametrize(
    ("text", "version"),
    [("remedy 0.1.0\n", "0.1.0"), ("remedy 1.2.3rc1", "1.2.3rc1"), ("true (GNU coreutils) 9.1", None), ("", None)],
)
def test_the_version_is_read_from_the_programs_own_words(
    text: str, version: str | None, translation: ModuleType
) -> None:
    assert translation.version_of(text) == version


def test_another_patch_release_is_spoken_with_and_another_minor_one_is_not(translation: ModuleType) -> None:
    assert translation.is_compatible("0.1.9")
    assert not translation.is_compatible("0.2.0")
    assert not translation.is_compatible("1.1.0")


@pytest.mark.parametrize(
    ("state", "result", "exit_code", "changed", "failed"),
    [
        ("applied", "applied", 0, True, False),
        ("applied", "pending", 0, True, False),
        ("applied", "nothing", 0, False, False),
        ("applied", "rolled-back", 3, False, True),
        ("applied", "interrupted-rolled-back", 130, False, True),
        ("applied", "rollback-incomplete", 4, True, True),
        ("applied", "failed", 1, False, True),
        ("rolled_back", "rolled-back", 0, True, False),
        ("rolled_back", "nothing", 0, False, False),
        ("rolled_back", "rollback-incomplete", 4, True, True),
    ],
)
def test_changed_and_failed_are_exact(
    state: str, result: str, exit_code: int, changed: bool, failed: bool, translation: ModuleType
) -> None:
    report = run_report(result=result, exit_code=exit_code)
    assert translation.run_changed(report, state) is changed
    assert translation.run_failed(report, state) is failed


def test_a_failed_run_says_what_was_lost_and_how_to_finish_by_hand(translation: ModuleType) -> None:
    lost = {"from": "lb", "to": "172.17.0.1:5001", "before": True, "after": False, "after_detail": "refused"}
    report = run_report(result="rollback-incomplete", exit_code=4, probes=[lost], leftover=["nft delete table ip x"])
    error = translation.failure_of_run(report)
    assert error["exit_code"] == 4
    told = translation.message(error)
    assert "lb -> 172.17.0.1:5001 worked before" in told
    assert "nft delete table ip x" in told


def test_a_refused_plan_fails_with_seven_and_each_cure_once(translation: ModuleType) -> None:
    refusal = {"what": "[::1]:5001 is cut off", "why": "no proxy", "cure": "accept it"}
    error = translation.failure_of_refusals(plan(refusals=[refusal, refusal]))
    assert (error["exit_code"], error["code"], error["next"]) == (7, "refused", "accept it")
    assert translation.failure_of_refusals(plan()) is None


def test_no_byte_of_a_file_leaves_the_host_with_the_plan(translation: ModuleType) -> None:
    results = translation.plan_results(plan())
    assert "c2VjcmV0" not in repr(results)
    assert results["plan"]["actions"][0]["content"] == {"path": "/etc/docker/daemon.json", "mode": 420}


def test_the_diff_is_each_touch_and_the_ways_that_change(translation: ModuleType) -> None:
    touch, ways = translation.plan_diff(plan())
    assert (touch["before_header"], touch["before"], touch["after"]) == ("userland-proxy off", "on\n", "off\n")
    assert ways["before"] == "lb -> 172.17.0.1:5001 by docker-proxy\n"
    assert ways["after"] == "lb -> 172.17.0.1:5001 by dnat\n"
    assert translation.plan_diff(plan(actions=[], paths=[])) == []
    assert translation.steps_diff([]) == []


def test_only_a_pending_run_waits_for_confirmation(translation: ModuleType) -> None:
    runs = [{"run": "b", "result": "pending"}, {"run": "a", "result": "applied"}]
    assert translation.waits_for_confirmation({"runs": runs}) == "b"
    assert translation.waits_for_confirmation({"runs": runs[1:]}) is None


def test_an_error_about_an_inline_spec_names_the_option_and_not_a_temporary_file(translation: ModuleType) -> None:
    error = {
        "where": "/root/.ansible/tmp/x/remedy.yaml:1:13",
        "exit_code": 1,
        "problems": [{"file": "/root/.ansible/tmp/x/remedy.yaml"}],
    }
    told = translation.in_words_of_the_task(error, "/root/.ansible/tmp/x/remedy.yaml")
    assert told == {"where": "spec:1:13", "exit_code": 1, "problems": [{"file": "spec"}]}


def test_a_program_that_does_not_answer_never_ends_with_code_zero(translation: ModuleType) -> None:
    error = translation.no_answer(["remedy", "plan"], 0, "", "")
    assert (error["exit_code"], error["why"]) == (1, "it wrote nothing")
