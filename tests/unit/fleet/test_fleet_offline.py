"""Many saved facts, planned at once: each for itself, the same plans together, the codes of one plan folded."""

from __future__ import annotations

import gzip
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from remedy.cli.main import run
from remedy.errors import InputError
from remedy.fleet.model import FleetPlan, PlanCounts
from remedy.fleet.offline import facts_files, plan_directory
from remedy.plan.plan_file import load_plan

RECORDED = Path(__file__).parents[1] / "plan" / "data"
SPEC = """version: 1
load_balancer: dev1-haproxy-1
backends: [{containers: [dev1-api-1, dev1-api-2, dev1-api-3], port: 8080}]
remedies: {userland_proxy: false}
policy: {restart_engine: true}
"""

Save = Callable[..., Path]


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "remedy.yaml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    directory = tmp_path / "facts"
    directory.mkdir()
    return directory


@pytest.fixture
def save(facts: Path) -> Save:
    """Save recorded facts as those of a host of this name, with other identities."""

    def as_host(name: str, recorded: str = "operator-28.5") -> Path:
        text = gzip.decompress((RECORDED / f"facts-{recorded}.json.gz").read_bytes()).decode()
        described = json.loads(text)
        for container in described["containers"]:
            text = text.replace(container["id"], container["id"][::-1] if name.startswith("r") else container["id"])
        described = json.loads(text)
        described["host"] |= {"hostname": name, "machine_id": f"{abs(hash(name)):032x}"}
        path = facts / f"{name}.facts.json"
        path.write_text(json.dumps(described))
        return path

    return as_host


def planned(facts: Path, spec: Path, plans: Path | None = None) -> FleetPlan:
    return plan_directory(facts, spec, plans, lambda _done, _of: None)


def test_the_same_plan_of_hosts_that_differ_in_identity_is_one_group(facts: Path, spec: Path, save: Save) -> None:
    for name in ("a", "b", "r1", "r2", "old"):
        save(name, "operator-20.10" if name == "old" else "operator-28.5")
    fleet = planned(facts, spec)
    assert [row.name for row in fleet.hosts] == ["a", "b", "old", "r1", "r2"]
    assert {row.result for row in fleet.hosts} == {"changes"}
    assert sum(len(group.hosts) for group in fleet.groups) == 5
    of = {name: group.group for group in fleet.groups for name in group.hosts}
    assert of["a"] == of["b"] == of["r1"] == of["r2"]
    assert fleet.groups[0].actions[-1].summary == "remove the bridging rules"


def test_one_processor_says_the_same_as_two(
    facts: Path, spec: Path, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abcdef":
        save(name)
    many = planned(facts, spec)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    assert planned(facts, spec) == many


def test_what_is_wrong_with_one_file_is_told_of_it_alone(facts: Path, spec: Path, save: Save) -> None:
    good = save("good")
    (facts / "empty.json").write_text("")
    (facts / "half.json").write_text(good.read_text()[:4000])
    (facts / "other.json").write_text('{"a": 1}')
    (facts / "binary.json").write_bytes(b"\xff\xfe\x00")
    (facts / "deep.json").write_text("[" * 100_000)
    (facts / "future.json").write_text(good.read_text().replace('"format_version": ', '"format_version": 9', 1))
    (facts / "folder.json").mkdir()
    (facts / "gone.json").symlink_to("nowhere")
    os.mkfifo(facts / "pipe.json")
    save("nobody", "cross-26.1")
    (facts / "README.txt").write_text("no facts")
    (facts / ".hidden.json").write_text("no facts")

    fleet = planned(facts, spec)

    results = {row.name: row.result for row in fleet.hosts}
    assert [name for name, result in results.items() if result != "failed"] == ["good"]
    assert len(results) == 11
    errors = {row.name: row.error or {} for row in fleet.hosts}
    for name in results.keys() - {"good", "nobody"}:
        assert name in errors[name]["where"], name
        assert "internal" not in errors[name]["what"]
    assert errors["nobody"]["where"].startswith(str(spec))
    assert fleet.exit_code(detailed=True) == 1


def test_plans_are_saved_as_apply_reads_them_and_for_their_owner_only(
    facts: Path, spec: Path, save: Save, tmp_path: Path
) -> None:
    save("web1")
    fleet = planned(facts, spec, tmp_path / "plans")
    path = Path(str(fleet.hosts[0].plan_file))
    assert path == tmp_path / "plans" / "web1.plan"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert load_plan(path).host.hostname == "web1"


def test_a_directory_without_facts_or_with_two_of_a_name_is_told(facts: Path) -> None:
    with pytest.raises(InputError, match="no facts files"):
        facts_files(facts)
    with pytest.raises(InputError, match="cannot be read"):
        facts_files(facts / "nowhere")
    for name in ("web1.json", "web1.facts.json"):
        (facts / name).write_text("{}")
    with pytest.raises(InputError, match="two facts files") as raised:
        facts_files(facts)
    assert "web1.facts.json, web1.json" in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "refused", "failed", "plain", "detailed"),
    [(0, 0, 0, 0, 0), (3, 0, 0, 0, 2), (3, 1, 0, 7, 7), (3, 1, 1, 1, 1), (0, 0, 1, 1, 1)],
)
def test_the_exit_code_is_the_worst(changes: int, refused: int, failed: int, plain: int, detailed: int) -> None:
    counts = PlanCounts(hosts=9, changes=changes, unchanged=0, refused=refused, failed=failed)
    fleet = FleetPlan(counts=counts, groups=(), hosts=())
    assert fleet.exit_code(detailed=False) == plain
    assert fleet.exit_code(detailed=True) == detailed


def test_the_command_shows_a_table_or_json_and_names_the_broken_file(
    facts: Path, spec: Path, save: Save, capsys: pytest.CaptureFixture[str]
) -> None:
    save("web1\x1b[31m")
    (facts / "web2.json").write_text("{")
    command = ["plan", "--facts-dir", str(facts), "--config", str(spec)]
    assert run(command) == 1
    shown = capsys.readouterr().out
    assert "web1\\x1b[31m  28.5" in shown
    assert "Plan 1, 1 host: web1" in shown
    assert "web2: the facts file is truncated" in shown
    assert "2 hosts: 1 with changes, 1 without a plan." in shown
    assert run([*command, "--format", "json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["format_version"] == 1
    assert told["counts"] == {"hosts": 2, "changes": 1, "unchanged": 0, "refused": 0, "failed": 1}
    assert [host["result"] for host in told["hosts"]] == ["changes", "failed"]
    assert told["groups"][0]["hosts"] == ["web1\x1b[31m"]
    (facts / "web2.json").unlink()
    assert run(command) == 0
    assert run([*command, "--detailed-exitcode"]) == 2
    assert run([*command, "--facts", "x"]) == 64
    spec.write_text(SPEC.replace("restart_engine: true", "restart_engine: false"))
    assert run(command) == 7


def test_a_wrong_spec_is_wrong_for_all(facts: Path, spec: Path, save: Save) -> None:
    save("web1")
    spec.write_text("version: 1\nremedy: 1\n")
    assert run(["plan", "--facts-dir", str(facts), "--config", str(spec)]) == 1
