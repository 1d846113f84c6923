"""What a person reads, as files that are reviewed like code; and nothing that is not in the JSON form."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import cli_samples as samples
import pytest
from pydantic import BaseModel
from rich.console import Console

from remedy.cli.options import GlobalOptions
from remedy.cli.views.console import make_console
from remedy.cli.views.filediff import difference
from remedy.cli.views.layout import seconds
from remedy.cli.views.plan import summary

Golden = Callable[[str, str], None]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def described(model: BaseModel) -> dict[str, Any]:
    # Through JSON text and back: a view has no more than what a program gets.
    return json.loads(model.model_dump_json(by_alias=True))


def rendered(view: str, shown: dict[str, Any], stream: io.StringIO | None = None, **options: Any) -> str:
    time.tzset()
    target = stream or io.StringIO()
    import_module(f"remedy.cli.views.{view}").show(make_console(GlobalOptions(**options), target), shown)
    return target.getvalue()


PLANS = {
    "switch-off": samples.plan,
    "nothing-to-do": samples.nothing_to_do,
    "refused": samples.refused,
    "stops-containers": samples.stops_containers,
    "hostile-names": samples.hostile,
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_reads_as_reviewed(name: str, golden: Golden) -> None:
    golden(f"plan/{name}.txt", rendered("plan", described(PLANS[name]())))


REPORTS = {
    "run-applied": ("run", samples.run_report()),
    "run-nothing": (
        "run",
        samples.run_report(run="", result="nothing", actions=(), probes=(), message="nothing to do"),
    ),
    "run-pending": ("run", samples.run_report(result="pending", deadline=samples.WHEN)),
    "run-verification-failed": (
        "run",
        samples.run_report(
            result="rolled-back",
            exit_code=3,
            message="1 connection that worked before does not work after the change",
            probes=[
                samples.probe("172.17.0.1:5001", True, False, "connection refused"),
                samples.probe("172.17.0.1:9", False, False, "timeout"),
            ],
        ),
    ),
    "run-incomplete": (
        "run",
        samples.run_report(
            result="rollback-incomplete",
            exit_code=4,
            leftover=("nft delete table inet remedy", "systemctl restart docker"),
        ),
    ),
    "run-confirmed": ("run", samples.run_report(actions=(), probes=(), message="run 1 stays")),
    "run-rollback": ("run", samples.run_report(command="rollback", result="rolled-back")),
    "status-applied": ("status", samples.status_report()),
    "status-clean": ("status", samples.status_report(state="clean", run=None, since=None, userland_proxy=True)),
    "status-pending": (
        "status",
        samples.status_report(state="pending", deadline=samples.WHEN, next_step="remedy confirm, or remedy rollback"),
    ),
    "status-drift": ("status", samples.status_report(drift=(samples.drift(),))),
    "history": ("history", samples.history_report()),
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_reads_as_reviewed(name: str, golden: Golden) -> None:
    view, model = REPORTS[name]
    golden(f"plan/reports/{name}.txt", rendered(view, described(model)))


def test_a_plan_on_a_terminal_has_colour_unless_it_is_unwanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    plan = described(samples.plan())
    assert "\x1b[" in rendered("plan", plan, Terminal())
    assert "\x1b[" not in rendered("plan", plan, Terminal(), no_color=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in rendered("plan", plan, Terminal())


def test_a_narrow_terminal_wraps_under_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "dumb-but-a-terminal")
    page = rendered("plan", described(samples.plan()), Terminal(), no_color=True)
    assert "      why     loopback connections are redirected to\n              containers while" in page


def test_a_hostile_plan_leaves_no_control_character(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    page = rendered("plan", described(samples.hostile()), Terminal(), no_color=True)
    assert all(character == "\n" or character.isprintable() for character in page)


def test_the_closing_line_counts_what_the_plan_says() -> None:
    assert summary(described(samples.plan())) == (
        "7 actions, engine restarts once, 0 containers stop, 0 connections refused."
    )
    assert summary(described(samples.stops_containers())) == (
        "2 actions, engine restarts once, 2 containers stop, 0 connections refused."
    )
    assert summary(described(samples.refused())).endswith("1 connection refused.")


def test_json_has_the_contracts_keys() -> None:
    plan = described(samples.plan())
    assert {"format_version", "host", "changes", "actions", "paths", "refusals", "warnings"} <= set(plan)
    assert {"engine_version", "firewall_backend"} <= set(plan["host"])
    for action in plan["actions"]:
        assert {"id", "kind", "summary", "reason", "before", "after", "disruption"} <= set(action)
        assert {"level", "containers"} <= set(action["disruption"])
    for path in plan["paths"]:
        assert {"from", "to", "before", "after"} <= set(path)
    assert {"run", "result", "actions", "probes"} <= set(described(samples.run_report()))


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (None, b"{}\n", ["(the file is made)", "+{}"]),
        (b"{}\n", None, ["(the file is removed)", "-{}"]),
        (b"{}", b"{}\n", ["-{} (no newline at the end)", "+{}"]),
        (b"--- a\n", b"--- b\n", ["---- a", "+--- b"]),
        (b'{\n\t"a": 1\n}\n', b'{\n\t"a": 2\n}\n', [" {", '-    "a": 1', '+    "a": 2', " }"]),
        (b"\xff\n", b"\xfe\n", ["-\\xff", "+\\xfe"]),
    ],
)
def test_a_files_difference(before: bytes | None, after: bytes | None, lines: list[str]) -> None:
    assert [line for line, _ in difference(before, after)] == lines


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, ""), (0.004, "0.00 s"), (0.5, "0.5 s"), (9.94, "9.9 s"), (9.96, "10 s"), (60, "60 s"), (125, "2 min 5 s")],
)
def test_seconds_read_as_people_say_them(value: float | None, shown: str) -> None:
    assert seconds(value) == shown


def test_a_plain_console_is_as_wide_as_its_lines() -> None:
    stream = io.StringIO()
    console: Console = make_console(GlobalOptions(), stream)
    console.print("x" * 500, soft_wrap=True)
    assert stream.getvalue() == "x" * 500 + "\n"
