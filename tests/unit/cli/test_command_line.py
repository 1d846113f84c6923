"""The contract of the command line: options on both sides, formats, exit codes, and never a traceback."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cli_samples as samples
import pytest

from remedy import errors
from remedy.apply.journal import Journal
from remedy.apply.model import Event
from remedy.cli.app import COMMANDS
from remedy.cli.context import Session
from remedy.cli.main import run
from remedy.cli.options import GlobalOptions
from remedy.paths.untracked import UntrackedTraffic
from remedy.plan.model import Plan

Golden = Callable[[str, str], None]


class Host:
    """A host that answers as it is told, in place of the stages below the command line."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plan: Plan | Exception = samples.plan()
        self.report: Any = samples.run_report()
        self.status: Any = samples.status_report()
        self.steps: tuple[str, ...] = ("restart the engine with the userland proxy on",)
        self.probes: tuple[Any, ...] = ()
        self.untracked: tuple[UntrackedTraffic, ...] = ()
        self.calls: list[tuple[Any, ...]] = []
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(Session, "plan", lambda _session: self._answer(self.plan))
        monkeypatch.setattr(Session, "facts", lambda _session: None)
        monkeypatch.setattr(Session, "spec", lambda _session: None)
        monkeypatch.setattr(Session, "spec_if_any", lambda _session: None)
        monkeypatch.setattr(Session, "stop_if_a_run_waits", lambda _session, _settings: None)
        monkeypatch.setattr(Session, "with_waiting_run", lambda _session, plan: plan)
        self._module("remedy.apply.run", apply_plan=self._apply, preview_apply=self._preview)
        self._module(
            "remedy.apply.rollback",
            rollback_run=self._rollback,
            describe_rollback=lambda *_: self.steps,
            preview_rollback=lambda *_, **_options: self._answer(self.steps),
        )
        self._module("remedy.apply.pending", confirm_run=lambda _settings: self._answer(self.report))
        self._module("remedy.apply.status", status_report=lambda *_: self._answer(self.status))
        self._module("remedy.apply.history", history_report=lambda _settings: samples.history_report())
        self._module("remedy.verify.run", verify=lambda *_: self.probes)
        self._module("remedy.paths.tracked", tracked=lambda _facts: samples.tracked())
        self._module("remedy.verify.untracked", traffic_now=lambda _facts: self.untracked)
        self._module("remedy.paths.untracked", own_tables=lambda _facts, _traffic: ())

    def _module(self, name: str, **contents: Any) -> None:
        module = types.ModuleType(name)
        vars(module).update(contents)
        self._monkeypatch.setitem(sys.modules, name, module)

    @staticmethod
    def _answer(answer: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _apply(self, plan: Plan, *, settings: Any, on_event: Callable[[Event], None]) -> Any:
        self.calls.append(("apply", settings.confirm_within_seconds))
        on_event(Event(kind="phase", text="Applying"))
        on_event(Event(kind="action", text="Route\x1b 127.0.0.0/8", state="started"))
        on_event(Event(kind="action", text="Route\x1b 127.0.0.0/8", state="done", seconds=0.7))
        return self._answer(self.report)

    def _preview(self, plan: Plan, *, settings: Any) -> None:
        self._answer(self.report)

    def _rollback(self, run: str | None, *, force: bool, settings: Any, on_event: Callable[[Event], None]) -> Any:
        self.calls.append(("rollback", run, force))
        return self._answer(self.report)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return Host(monkeypatch)


@pytest.mark.parametrize("command", ["", *(name for name in COMMANDS if name != "lab")])
def test_help_reads_as_reviewed(command: str, golden: Golden, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"] if command else ["--help"]) == 0
    page = capsys.readouterr().out
    golden(f"help/{command or 'remedy'}.txt", page)
    assert f"Examples:\n  remedy {command}".rstrip() in page
    assert max(map(len, page.splitlines())) <= 120


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "lab"])
def test_the_list_of_commands_says_what_the_command_says_of_itself(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run([command, "--help"])
    said = capsys.readouterr().out.partition("\n\n")[2]
    assert " ".join(said.split()).startswith(COMMANDS[command] + ".")


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--version"], ["plan", "--version"], ["lab", "list", "--version"]])
def test_the_version(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 0
    assert capsys.readouterr().out.startswith("remedy ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["plam"],
        ["plan", "--nonsense"],
        ["plan", "extra"],
        ["--format", "xml", "plan"],
        ["plan", "--format"],
        ["--config"],
        ["apply", "a", "b"],
        ["apply", "--confirm-within", "soon"],
        ["apply", "--facts", "x"],
        ["rollback", "--facts", "x", "--yes"],
        ["--facts", "x", "confirm"],
        ["verify", "--facts", "x"],
    ],
)
def test_wrong_usage_is_64(arguments: list[str], host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 64
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("Error: ")
    assert "next: " in shown.err
    assert host.calls == []


def test_a_misspelt_command_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    run(["plam"])
    assert "did you mean plan?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--format", "json", "plan"], ["plan", "--format", "json"], ["plan", "--format=json"]]
)
def test_global_options_stand_before_or_after_the_command(
    arguments: list[str], host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 0
    assert json.loads(capsys.readouterr().out)["changes"] is True


def test_the_later_of_two_global_options_wins(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    run(["--format", "json", "plan", "--format", "text"])
    assert "Plan: 7 actions" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("plan", "flags", "code"),
    [
        (samples.plan(), [], 0),
        (samples.plan(), ["--detailed-exitcode"], 2),
        (samples.nothing_to_do(), ["--detailed-exitcode"], 0),
        (samples.refused(), [], 7),
        (samples.refused(), ["--detailed-exitcode"], 7),
    ],
)
def test_plan_ends_with_the_contracts_codes(
    plan: Plan, flags: list[str], code: int, host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.plan = plan
    assert run(["plan", *flags]) == code
    text = capsys.readouterr().out
    assert ("Refused: " in text) == (code == 7)
    assert run(["plan", "--format", "json", *flags]) == code
    assert json.loads(capsys.readouterr().out) == json.loads(plan.model_dump_json(by_alias=True))


def test_plan_saves_what_apply_loads(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "-o", "friday.plan"]) == 0
    assert "remedy apply friday.plan" in capsys.readouterr().out
    host.plan = AssertionError("a saved plan is not planned again")
    assert run(["apply", "friday.plan", "--yes"]) == 0
    assert host.calls == [("apply", 60)]


def test_apply_without_yes_and_without_a_terminal_changes_nothing(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["apply"]) == 1
    assert "no terminal to ask on" in capsys.readouterr().err
    assert run(["rollback"]) == 1
    assert run(["apply", "--format", "json"]) == 1
    assert host.calls == []


@pytest.mark.parametrize(("answer", "code"), [("yes\n", 0), ("y\n", 1), ("\n", 1), ("", 1)])
def test_apply_takes_only_yes(answer: str, code: int, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    class Keyboard:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return answer

    monkeypatch.setattr("sys.stdin", Keyboard())
    assert run(["apply"]) == code
    assert len(host.calls) == (code == 0)


def test_apply_has_nothing_to_ask_when_there_is_nothing_to_do(host: Host) -> None:
    host.plan, host.report = (
        samples.nothing_to_do(),
        samples.run_report(run="", result="nothing", actions=(), probes=()),
    )
    assert run(["apply"]) == 0
    assert host.calls == [("apply", None if host.plan.confirm_within_seconds is None else 60)]


def test_apply_shows_progress_and_escapes_it(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["apply", "--yes"]) == 0
    shown = capsys.readouterr().out
    assert "✓ Route\\x1b 127.0.0.0/8 0.7 s" in shown
    assert "\x1b" not in shown


def test_apply_as_json_is_one_object(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["apply", "--yes", "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["run"], report["result"]) == ("20261104-101500-3fa9", "applied")
    assert len(report["actions"]) == 7
    assert report["probes"][0]["after"] is True


@pytest.mark.parametrize(("flags", "seconds"), [([], 60), (["--confirm-within", "5m"], 300)])
def test_the_time_to_confirm_is_the_options_else_the_plans(flags: list[str], seconds: int, host: Host) -> None:
    run(["apply", "--yes", *flags])
    assert host.calls == [("apply", seconds)]


def test_apply_of_a_refused_plan_is_7_and_changes_nothing(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.plan = samples.refused()
    assert run(["apply", "--yes"]) == 7
    assert host.calls == []
    capsys.readouterr()
    assert run(["apply", "--yes", "--format", "json"]) == 7
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["exit_code"]) == ("refused", 7)
    assert "[::1]:5001" in error["why"]


@pytest.mark.parametrize("code", [0, 3, 4, 130])
def test_a_run_ends_with_its_reports_code(code: int, host: Host) -> None:
    host.report = samples.run_report(result="applied" if code == 0 else "rolled-back", exit_code=code)
    assert run(["apply", "--yes"]) == code
    assert run(["rollback", "--yes", "20261104-101500-3fa9", "--force"]) == code
    assert host.calls[-1] == ("rollback", "20261104-101500-3fa9", True)
    assert run(["confirm"]) == code


def test_a_dry_run_of_apply_shows_the_plan_or_why_it_would_not_be_applied(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["apply", "--dry-run", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["actions"]
    assert not host.calls
    host.report = errors.StalePlanError("the host has changed since the plan was made")
    assert run(["apply", "--dry-run", "--yes"]) == 6
    host.plan = samples.refused()
    assert run(["apply", "--dry-run"]) == 7
    assert not host.calls


def test_a_dry_run_of_rollback_says_what_it_would_undo(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rollback", "--dry-run", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"steps": list(host.steps)}
    assert not host.calls
    host.steps = ()
    assert run(["rollback", "--dry-run"]) == 0
    assert "Nothing to undo." in capsys.readouterr().out


ERRORS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.RemedyError) and kind is not errors.MissingExtraError
]


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_is_rendered_and_ends_with_its_code(
    kind: type[errors.RemedyError], host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.plan = kind("it is \x1b[31mbroken", where="here", why="because\nof this", next_step="mend it")
    assert run(["plan"]) == kind.exit_code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        "Error: it is \\x1b[31mbroken\n  where: here\n  why: because\n       of this\n  next: mend it\n"
    )
    assert run(["plan", "--format", "json"]) == kind.exit_code
    assert json.loads(capsys.readouterr().out) == {
        "error": {
            "code": kind.code,
            "what": "it is \x1b[31mbroken",
            "where": "here",
            "why": "because\nof this",
            "next": "mend it",
            "exit_code": kind.exit_code,
        }
    }


def test_an_unforeseen_error_is_one_line_and_debug_shows_the_rest(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.plan = KeyError("surprise")
    assert run(["plan"]) == 1
    shown = capsys.readouterr().err
    assert "internal error: KeyError: 'surprise'" in shown
    assert "--debug" in shown
    assert "Traceback" not in shown
    with pytest.raises(KeyError):
        run(["plan", "--debug"])


def test_an_interrupt_is_130(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_session: Session) -> Plan:
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "plan", interrupted)
    assert run(["plan"]) == 130


@pytest.mark.parametrize(
    ("changed", "plain", "detailed"),
    [
        ({}, 0, 0),
        ({"state": "clean", "run": None, "since": None}, 0, 0),
        ({"drift": (samples.drift(),)}, 0, 2),
        ({"state": "pending"}, 0, 8),
        ({"state": "interrupted"}, 0, 8),
    ],
)
def test_status_ends_with_the_contracts_codes(changed: dict[str, Any], plain: int, detailed: int, host: Host) -> None:
    host.status = samples.status_report(**changed)
    assert run(["status"]) == plain
    assert run(["status", "--detailed-exitcode"]) == detailed


@pytest.mark.parametrize("layout", ["text", "json"])
def test_a_broken_spec_does_not_hide_what_is_applied(
    layout: str, host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_session: Session) -> None:
        raise errors.SpecError("unknown key", where="remedy.yaml:3:1")

    monkeypatch.setattr(Session, "spec_if_any", broken)
    assert run(["status", "--format", layout]) == 1
    output, told = capsys.readouterr()
    if layout == "json":
        assert json.loads(output)["error"]["where"] == "remedy.yaml:3:1"
    else:
        assert "docker-proxy" in output
        assert "remedy.yaml:3:1" in told


@pytest.mark.parametrize(
    ("probes", "code"),
    [
        ((), 0),
        ((samples.probe("a:1", True, None),), 0),
        ((samples.probe("a:1", True, None), samples.probe("a:2", False, None)), 2),
        ((samples.probe("a:1", None, False),), 2),
    ],
)
def test_verify_is_2_when_a_probe_fails(probes: tuple[Any, ...], code: int, host: Host) -> None:
    host.probes = probes
    assert run(["verify"]) == code
    assert run(["verify", "--format", "json"]) == code


@pytest.mark.parametrize(("entries", "code"), [(0, 0), (7, 2)])
def test_verify_tells_whether_conntrack_sees_untracked_pairs(
    entries: int, code: int, host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.probes = (samples.probe("a:1", True, None),)
    values = {"client": "lb", "server": "api", "client_address": "10.5.0.2", "to": "10.5.0.3:8080", "connections": 9}
    host.untracked = (UntrackedTraffic.model_validate({**values, "entries": entries}),)
    assert run(["verify"]) == code
    told = capsys.readouterr().out
    assert "notrack: 1 pair, 9 connections, " in told
    assert ("lb → api 10.5.0.3:8080  7" in told) == bool(entries)


def test_history_is_shown(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["history", "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 2


def test_a_wrong_spec_is_told_with_its_places(capsys: pytest.CaptureFixture[str]) -> None:
    Path("remedy.yaml").write_text("version: 1\nremedies:\n  userland_proxi: false\n")
    assert run(["plan"]) == 1
    assert "where: remedy.yaml:3:3" in capsys.readouterr().err
    assert run(["plan", "--format", "json"]) == 1
    problem = json.loads(capsys.readouterr().out)["error"]["problems"][0]
    assert (problem["line"], problem["column"], problem["did_you_mean"]) == (3, 3, "userland_proxy")


@pytest.mark.parametrize(
    ("line", "place", "key"),
    [
        ("load_balancer: dev1-haproxy-2", "2:16", "load_balancer"),
        ("backends: [{containers: [dev1-api-1, dev1-apj-2], port: 8080}]", "2:38", "backends[0].containers[1]"),
        ("backends: [{project: dev1, service: apl, port: 8080}]", "2:37", "backends[0].service"),
        ('backends: [{label: "no=such", port: 8080}]', "2:20", "backends[0].label"),
        ('probes: [{from: dev1-haproxi-1, to: "172.17.0.1:5001"}]', "2:17", "probes[0].from"),
    ],
)
def test_a_name_that_matches_nothing_is_told_with_its_place(
    line: str, place: str, key: str, operators_facts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("remedy.yaml").write_text(f"version: 1\n{line}\n")
    assert run(["plan", "--facts", str(operators_facts), "--format", "json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["where"] == f"remedy.yaml:{place}"
    assert error["what"].startswith(f"{key}: ")
    assert error["why"]


@pytest.fixture
def operators_facts(tmp_path: Path) -> Path:
    recorded = Path(__file__).parents[1] / "plan" / "data" / "facts-operator-28.5.json.gz"
    path = tmp_path / "facts.json"
    path.write_bytes(gzip.decompress(recorded.read_bytes()))
    return path


def test_paths_of_the_operator_are_kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard and the rollback run from other directories."""
    monkeypatch.setenv("REMEDY_STATE_DIR", "state")
    settings = Session(_context(GlobalOptions(daemon_json="daemon.json"))).settings()
    assert settings.daemon_json_path == str(Path.cwd() / "daemon.json")
    assert settings.state_dir == Path.cwd() / "state"


def _context(options: GlobalOptions) -> Any:
    root = types.SimpleNamespace(obj=options)
    return types.SimpleNamespace(find_root=lambda: root)


def test_an_engine_that_is_down_does_not_hide_an_interrupted_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    assert run(["status"]) == 1
    journal = Journal.create(tmp_path / "state" / "runs" / "20261104-101500-3fa9")
    journal.write("started")
    journal.close()
    capsys.readouterr()
    assert run(["status"]) == 8
    told = capsys.readouterr().err
    assert "20261104-101500-3fa9 was interrupted" in told
    assert "Docker does not answer" in told
    assert "next: remedy rollback" in told


def test_no_spec_names_init(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan"]) == 1
    assert "remedy init" in capsys.readouterr().err


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "remedy.yaml"


def _remedy(*arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "remedy", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **settings,
    )


def test_help_imports_nothing_heavy() -> None:
    probe = (
        "import sys; from remedy.cli.main import run; run(['--help']);"
        "print([m for m in ('pydantic', 'docker', 'rich', 'ruamel.yaml', 'iptc', 'remedy.lab') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.endswith("[]\n")


def test_a_file_that_cannot_be_written_is_told_in_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "remedy", "schema"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: No space left on device\n")


def test_a_reader_that_goes_away_is_no_error_and_changes_no_code() -> None:
    done = subprocess.run(
        f"set -o pipefail; {sys.executable} -m remedy schema | true && "
        f"{sys.executable} -m remedy plan --format json | true; test ${{PIPESTATUS[0]}} = 1",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_of_few_letters_is_no_error() -> None:
    done = _remedy("plan", "--config", "größe→.yaml", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_the_entry_point_ends_with_the_code() -> None:
    assert _remedy("plan").returncode == 1
    assert _remedy("nonsense").returncode == 64
    assert _remedy("--version").returncode == 0


def test_facts_show_no_character_that_a_terminal_would_obey(
    operators_facts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = json.dumps("\x1b[31m \x9b31m \u202e")[1:-1]
    operators_facts.write_text(operators_facts.read_text().replace('"dev1-api-1"', f'"dev1-api-1{hostile}"'))
    assert run(["facts", "--facts", str(operators_facts)]) == 0
    assert run(["facts", "--facts", str(operators_facts), "-o", str(tmp_path / "saved.json")]) == 0
    shown = capsys.readouterr().out + (tmp_path / "saved.json").read_text()
    assert "dev1-api-1\\u001b[31m \\u009b31m \\u202e" in shown
    assert all(character.isprintable() or character == "\n" for character in shown)
