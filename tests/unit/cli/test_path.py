"""`remedy path`: the contract's JSON, and a page that says the same and reads at 3 a.m."""

from __future__ import annotations

import io
import json
import sys
import types
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import cli_samples
import drawn_paths as samples
import pytest

from remedy.cli.context import Session
from remedy.cli.main import run
from remedy.cli.options import GlobalOptions
from remedy.cli.views.console import make_console
from remedy.cli.views.path import sentence, way_back
from remedy.facts.model import HostFacts
from remedy.facts.store import save_facts
from remedy.paths.verdict import Verdict
from remedy.paths.walk import Datapath
from remedy.spec.models import HostPort

Golden = Callable[[str, str], None]
CONTRACT = {
    "from": str,
    "to": str,
    "reachable": bool | None,
    "via": str,
    "userspace_copies": int,
    "conntrack_entries": int,
    "source_seen": str | None,
    "steps": list,
}
WAYS = {"docker-proxy", "dnat", "direct", "local", "none", "unknown"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def described(facts: HostFacts, source: str, to: str) -> dict[str, Any]:
    # Through JSON text and back: the view has no more than what a program gets.
    verdict = Datapath(facts).connect(source, HostPort.parse(to))
    answer: dict[str, Any] = json.loads(verdict.model_dump_json(by_alias=True))
    return answer


def sample(name: str) -> dict[str, Any]:
    facts, source, to = samples.PATHS[name]
    return described(facts(), source, to)


def with_after(source: str = "haproxy", to: str = "172.17.0.1:5001", **plan: bool) -> dict[str, Any]:
    now, after = (described(samples.recorded(name), source, to) for name in (samples.ON, samples.OFF))
    return {**now, "plan": {"changes": True, "refused": False, **plan}, "after": after}


def rendered(path: dict[str, Any], stream: io.StringIO | None = None, **options: Any) -> str:
    target = stream or io.StringIO()
    import_module("remedy.cli.views.path").show(make_console(GlobalOptions(**options), target), path)
    return target.getvalue()


@pytest.fixture
def facts_file(tmp_path: Path) -> str:
    save_facts(samples.recorded(samples.ON), tmp_path / "on.json")
    return str(tmp_path / "on.json")


# --- what it looks like ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", samples.PATHS)
def test_a_path_reads_as_reviewed(name: str, golden: Golden) -> None:
    golden(f"path/{name}.txt", rendered(sample(name)))


def test_before_and_after_read_as_reviewed_in_a_pipe(golden: Golden) -> None:
    golden("path/after.txt", rendered(with_after()))


def test_before_and_after_stand_beside_each_other_on_a_wide_terminal(
    golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setenv("TERM", "xterm")
    page = rendered(with_after(), Terminal(), no_color=True)
    assert max(map(len, page.splitlines())) <= 150
    golden("path/after-wide.txt", page)


def test_a_narrow_terminal_gets_one_below_the_other_wrapped_along_the_rail(
    golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    page = rendered(with_after(), Terminal(), no_color=True)
    assert max(map(len, page.splitlines())) <= 60
    golden("path/after-narrow.txt", page)


def test_a_way_that_the_plan_does_not_touch_is_drawn_once() -> None:
    now = sample("same-bridge")
    same = {**now, "plan": {"changes": True, "refused": False}, "after": sample("same-bridge")}
    page = rendered(same)
    assert "after   the same: the plan does not touch this way" in page
    assert page.count("✓") == 1
    assert "nothing is planned" in rendered({**same, "plan": {"changes": False, "refused": False}})


def test_a_refused_plan_is_said_to_be_refused() -> None:
    assert "this plan is refused" in rendered(with_after(refused=True))


def test_colour_only_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[" in rendered(with_after(), Terminal())
    assert "\x1b[" not in rendered(with_after(), Terminal(), no_color=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in rendered(with_after(), Terminal())


@pytest.mark.parametrize("columns", ["40", "80", "160"])
def test_a_hostile_name_leaves_no_control_character(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERM", "xterm")
    path = {**sample("hostile-names"), "plan": {"changes": True, "refused": False}, "after": sample("dnat")}
    for page in (rendered(path, Terminal(), no_color=True), rendered(path)):
        assert all(character == "\n" or character.isprintable() for character in page)
        assert "\u202e" not in page


# --- the contract ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", samples.PATHS)
def test_json_has_the_contracts_keys_and_kinds(name: str) -> None:
    path = sample(name)
    for key, kind in CONTRACT.items():
        assert isinstance(path[key], kind), key
    assert path["via"] in WAYS
    assert path["steps"]
    for step in path["steps"]:
        assert set(step) == {"where", "what", "why"}
    assert (path["reachable"] is None) == (path["via"] == "unknown") == bool(path["unknown_because"])
    assert (path["reachable"] is False) == (path["via"] == "none") == bool(path["failure"])
    assert Verdict.model_validate(path).model_dump(mode="json", by_alias=True) == path


@pytest.mark.parametrize("name", samples.PATHS)
def test_text_and_json_say_the_same(name: str) -> None:
    path = sample(name)
    page = rendered(path)
    said = "".join(cell if isinstance(cell, str) else cell[0] for cell in sentence(path))
    words = {None: "cannot tell", False: "does not reach", True: "reach"}
    assert words[path["reachable"]] in said
    assert ("docker-proxy" in said) == (path["via"] == "docker-proxy")
    assert page.count("\n  ▼ ") + 1 + 1 == max(len(path["steps"]), 2)
    assert ("✓" in page, "✗" in page, "\n  ? " in page) == tuple(path["reachable"] is x for x in (True, False, None))
    if path["reachable"]:
        assert ("no copy in user space" in page) == (path["userspace_copies"] == 0)
        assert path["source_seen"] in page


def test_an_unknown_rule_is_quoted() -> None:
    path = sample("unknown")
    assert path["reachable"] is None
    assert samples.UNKNOWN_RULE in path["unknown_because"]
    assert samples.UNKNOWN_RULE in rendered(path)


def test_the_way_back_names_each_station_once_and_says_where_it_ends() -> None:
    assert way_back(sample("dnat")).startswith("api-1 → docker0 → ")
    assert way_back(sample("dnat")).endswith(" → haproxy")
    assert way_back(sample("dropped")) == ""


# --- the command -----------------------------------------------------------------------------------------------


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run(["path", *arguments, "--format", "json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize(
    ("arguments", "reachable", "via"),
    [
        (("haproxy", "172.17.0.1:5001"), True, "docker-proxy"),
        (("container:haproxy", "172.17.0.1:5001"), True, "docker-proxy"),
        (("host", "localhost:5001"), True, "docker-proxy"),
        (("external", "10.98.0.10:5001"), True, "dnat"),
        (("external", "10.98.0.10:5001", "--client", "10.98.0.7"), True, "dnat"),
        (("udp-echo", "172.17.0.1:6004/udp"), True, "docker-proxy"),
        (("other-net", "172.17.0.2:8080"), False, "none"),
    ],
)
def test_a_question_is_answered_from_a_facts_file_whatever_the_verdict(
    arguments: tuple[str, ...], reachable: bool, via: str, facts_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = answer(capsys, *arguments, "--facts", facts_file)
    assert (path["reachable"], path["via"]) == (reachable, via)
    assert "after" not in path


@pytest.mark.parametrize("place", ["before", "after"])
def test_global_options_stand_on_either_side(place: str, facts_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    options, command = ["--facts", facts_file, "--no-color"], ["path", "haproxy", "172.17.0.1:5001"]
    assert run([*options, *command] if place == "before" else [*command, *options]) == 0
    assert capsys.readouterr().out.startswith("haproxy reaches 172.17.0.1:5001 through docker-proxy; api-1 answers.")


@pytest.mark.parametrize(
    "arguments",
    [
        ("host", "172.17.0.1"),
        ("host", "172.17.0.1:http"),
        ("host", "::1:5001"),
        ("host", "172.17.0.1:5001/icmp"),
        ("host", "172.17.0.1:70000"),
        ("host", "api-1:8080"),
        ("host", "172.17.0.1:5001", "--client", "10.0.0.1"),
        ("external", "172.17.0.1:5001", "--client", "somebody"),
        ("host",),
    ],
)
def test_what_is_no_question_is_wrong_usage(
    arguments: tuple[str, ...], facts_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["path", *arguments, "--facts", facts_file]) == 64
    assert "next: " in capsys.readouterr().err


def test_a_client_that_is_not_there_is_an_error_with_the_nearest_name(
    facts_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["path", "haprxy", "172.17.0.1:5001", "--facts", facts_file]) == 1
    assert "did you mean haproxy?" in capsys.readouterr().err


def test_after_is_the_same_question_to_the_facts_that_the_plan_leaves(
    facts_file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    foresight = types.ModuleType("remedy.plan.foresight")
    asked: list[tuple[Any, Any]] = []

    def facts_after(facts: HostFacts, actions: Any) -> HostFacts:
        asked.append((facts, actions))
        return samples.recorded(samples.OFF)

    vars(foresight)["facts_after"] = facts_after
    monkeypatch.setitem(sys.modules, "remedy.plan.foresight", foresight)
    plan = cli_samples.plan()
    monkeypatch.setattr(Session, "spec", lambda _session: object())
    monkeypatch.setattr(Session, "plan_of", lambda _session, _spec, _facts: plan)

    path = answer(capsys, "haproxy", "172.17.0.1:5001", "--after", "--facts", facts_file)

    assert asked == [(samples.recorded(samples.ON), plan.actions)]
    assert (path["via"], path["after"]["via"]) == ("docker-proxy", "dnat")
    assert path["plan"] == {"changes": True, "refused": False}
    assert set(path) - {"after", "plan"} == set(path["after"])
