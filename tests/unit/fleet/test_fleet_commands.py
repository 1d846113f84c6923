"""`remedy fleet` with a program in Ansible's place: what it is given, what is made of its events, how it ends."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from remedy.cli.main import run
from remedy.facts import parse_facts
from remedy.fleet.playbooks import playbooks_directory
from remedy.plan.planner import make_plan
from remedy.spec.load import parse_spec

Ansible = Callable[..., Path]
PYTHON = sys.executable
RECORDED = Path(__file__).parents[1] / "plan" / "data" / "facts-operator-28.5.json.gz"
EVIL = "evil\x1b]0;x\x07\u202e"


def result(host: str, status: str = "ok", ignored: bool = False, **answer: Any) -> dict[str, Any]:
    action = "docker_remedy.fleet.remedy"
    told = {"event": "result", "host": host, "task": "Plan", "action": action, "status": status, "answer": answer}
    return {**told, "ignored": ignored}


def played(*results: dict[str, Any], hosts: tuple[str, ...] = ("web1", "web2", EVIL)) -> list[dict[str, Any]]:
    return [{"event": "play", "name": "Plan", "hosts": list(hosts)}, *results, {"event": "end", "hosts": {}}]


@pytest.fixture
def ansible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ansible:
    """An ansible-playbook beside the interpreter that writes these events, and keeps what it was given."""
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    Path("hosts.yml").write_text("")

    def answers(events: list[dict[str, Any]], *, more: str = "") -> Path:
        said = tmp_path / "events"
        said.write_text("".join(json.dumps(event) + "\n" for event in events))
        program = programs / "ansible-playbook"
        program.write_text(
            f"#!{Path(sys.base_prefix) / 'bin' / 'python3'}\n"
            + textwrap.dedent(f"""
                import json, os, sys
                kept = {{"arguments": sys.argv[1:], "environment": dict(os.environ)}}
                open({str(tmp_path / "given")!r}, "w").write(json.dumps(kept))
                print("noise")
                sys.stdout.write(open({str(said)!r}).read())
                sys.stdout.flush()
                {more}
            """)
        )
        program.chmod(0o755)
        return tmp_path / "given"

    return answers


def plan_answer(**changes: Any) -> dict[str, Any]:
    return {"plan": {**recorded_plan(), **changes}, "changes": True}


@cache
def recorded_plan() -> dict[str, Any]:
    spec = parse_spec("version: 1\nremedies: {userland_proxy: false}\n", "remedy.yaml")
    facts = parse_facts(gzip.decompress(RECORDED.read_bytes()).decode())
    plan = make_plan(spec, facts, spec_digest="", now=datetime(2026, 11, 4, tzinfo=UTC))
    return json.loads(plan.model_dump_json(by_alias=True))


def test_hosts_are_planned_by_the_shipped_playbook_and_grouped(
    ansible: Ansible, capsys: pytest.CaptureFixture[str]
) -> None:
    unreachable = result(EVIL, "unreachable", msg="no route\x1b[31m to host")
    given = ansible(played(result("web2", **plan_answer()), result("web1", **plan_answer()), unreachable))
    assert run(["fleet", "plan", "-i", "hosts.yml", "-i", "-x,", "--limit", "-all", "-e", "a=b", "-f", "7", "-K"]) == 1
    output, told = capsys.readouterr()
    assert "Plan 1, 2 hosts: web1, web2" in output
    assert "evil\\x1b]0;x\\x07\\u202e: the host was not reached" in output
    assert "no route\\x1b[31m to host" in output
    assert "\x1b" not in output + told
    assert "3 of 3: evil" in told
    kept = json.loads(given.read_text())
    assert kept["arguments"] == [
        "--inventory=hosts.yml",
        "--inventory=-x,",
        "--limit=-all",
        "--extra-vars=a=b",
        "--forks=7",
        "--ask-become-pass",
        "--extra-vars={}",
        str(playbooks_directory() / "plan.yml"),
    ]
    assert kept["environment"]["ANSIBLE_STDOUT_CALLBACK"] == "docker_remedy.fleet.events"
    assert kept["environment"]["ANSIBLE_COLLECTIONS_PATH"].startswith(str(playbooks_directory()))


def test_the_codes_are_those_of_plan(ansible: Ansible, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["fleet", "plan", "-i", "hosts.yml", "--format", "json"]
    ansible(played(result("web1", **plan_answer()), hosts=("web1",)))
    assert run(command) == 0
    output, told = capsys.readouterr()
    assert json.loads(output)["hosts"][0]["host"]["engine_version"]
    assert told == ""
    assert run([*command, "--detailed-exitcode"]) == 2
    refusal = {"code": "x", "what": "[::1] is cut off", "why": "no proxy", "cure": "accept it", "accepted_by": None}
    ansible(played(result("web1", **plan_answer(refusals=[refusal])), hosts=("web1",)))
    assert run(command) == 7


def test_remedys_own_words_are_told_and_ansibles_where_it_failed_itself(
    ansible: Ansible, capsys: pytest.CaptureFixture[str]
) -> None:
    error = {"code": "locked", "what": "another remedy is at work", "where": None, "why": "pid 7", "next": "wait"}
    ansible(
        played(
            result("web1", "failed", error={**error, "exit_code": 5}, msg="another remedy is at work\nwhy: pid 7"),
            result("web2", "failed", msg="Missing sudo password"),
        )
    )
    assert run(["fleet", "plan", "-i", "hosts.yml", "--format", "json"]) == 1
    hosts = json.loads(capsys.readouterr().out)["hosts"]
    assert (hosts[0]["error"]["code"], hosts[0]["error"]["exit_code"]) == ("locked", 5)
    assert (hosts[1]["error"]["code"], hosts[1]["error"]["next"]) == ("ansible", "--ask-become-pass")
    assert hosts[2]["error"]["what"] == "the host has not answered"


def test_facts_are_where_the_playbook_put_them(
    ansible: Ansible, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Path("facts").mkdir()
    Path("facts/web1.facts.json").write_text("{}")
    summary = {"engine_version": "28.5.2", "firewall_backend": "iptables-nft", "containers": 4}
    facts = {"remedy": {**summary, "docker_proxy_processes": 9}, "remedy_file_name": "web1"}
    given = ansible(played(result("web1", ansible_facts=facts), hosts=("web1", "web2")))
    assert run(["fleet", "facts", "-i", "hosts.yml", "-o", "facts"]) == 1
    output = capsys.readouterr().out
    assert "web1  28.5.2  iptables-nft  4           9             facts/web1.facts.json" in output
    assert "web2: the host has not answered" in output
    assert f'--extra-vars={{"remedy_facts_dir": "{Path.cwd()}/facts"}}' in json.loads(given.read_text())["arguments"]


REPORT_STATUS = {
    "engine_version": "28.5.2",
    "firewall_backend": "iptables-nft",
    "userland_proxy": True,
    "docker_proxy_processes": 9,
    "docker_proxy_connections": 120,
    "state": "applied",
    "drift": [],
}


@pytest.mark.parametrize(
    ("changes", "findings", "code"),
    [({}, [], 0), ({"drift": [{}]}, [], 2), ({"state": "pending"}, [], 8), ({}, ["found"], 2)],
)
def test_a_report_is_what_the_playbook_wrote(
    changes: dict[str, Any], findings: list[str], code: int, ansible: Ansible, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [{"severity": "high", "code": "x", "title": f"is {word}"} for word in findings]
    host = {"host": "web1", "status": {**REPORT_STATUS, **changes}, "findings": found, "error": None}
    write = f'open("out/remedy-report.json", "w").write({json.dumps({"hosts": [host]})!r})'
    ansible(played(hosts=("web1",)), more=write)
    command = ["fleet", "report", "-i", "hosts.yml", "-o", "out"]
    assert run([*command, "--detailed-exitcode"]) == code
    assert "1 of 1 host answered." in capsys.readouterr().out
    assert run(command) == 0
    assert ("is found" in capsys.readouterr().out) is bool(findings)


def test_without_ansible_the_extra_is_named(ansible: Ansible, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fleet", "plan", "-i", "hosts.yml"]) == 1
    assert "pip install 'docker-remedy[fleet]'" in capsys.readouterr().err


def test_an_inventory_that_is_not_there_is_told_before_ansible_makes_this_machine_of_it(
    ansible: Ansible, capsys: pytest.CaptureFixture[str]
) -> None:
    ansible(played())
    assert run(["fleet", "plan", "-i", "nowhere.yml"]) == 1
    assert "there is no such inventory" in capsys.readouterr().err


def test_an_ansible_that_never_came_to_a_host_is_quoted_without_the_variables(
    ansible: Ansible, capsys: pytest.CaptureFixture[str]
) -> None:
    ansible([], more=f"sys.stderr.write({'[WARNING]: tried' + chr(10) + '[ERROR]: no ' + chr(27) + '[31mhosts'!r})")
    assert run(["fleet", "plan", "-i", "hosts.yml", "-e", "password=secret"]) == 1
    told = capsys.readouterr().err
    assert "why: [ERROR]: no \\x1b[31mhosts" in told
    assert "secret" not in told
    ansible(played(hosts=()))
    assert run(["fleet", "plan", "-i", "hosts.yml"]) == 1
    assert "no host that is meant" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [["--config", "x.yaml"], ["--facts", "x.json"], ["-f", "0"], ["nonsense"]],
    ids=lambda options: options[0],
)
def test_what_is_of_one_host_is_wrong_usage(options: list[str], ansible: Ansible) -> None:
    ansible(played())
    assert run(["fleet", "plan", "-i", "hosts.yml", *options]) == 64


def test_ansible_ends_with_remedy(ansible: Ansible, tmp_path: Path) -> None:
    started = tmp_path / "started"
    more = f"import time; open({str(started)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    ansible(played(), more=more)
    program = f"import sys; sys.executable = {sys.executable!r}; from remedy.cli.main import main; main()"
    command = [PYTHON, "-c", program, "fleet", "plan", "-i", "hosts.yml"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not (started.exists() and started.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130, told
    assert not Path(f"/proc/{started.read_text()}").exists()


def test_the_playbooks_are_found_in_the_package_and_in_a_checkout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["fleet", "playbooks"]) == 0
    assert (Path(capsys.readouterr().out.strip()) / "apply.yml").is_file()
    package = tmp_path / "site-packages" / "remedy"
    for directory in (package / "playbooks", package.parent / "playbooks"):
        directory.mkdir(parents=True)
        (directory / "plan.yml").write_text("")
    assert playbooks_directory(package) == package / "playbooks"
