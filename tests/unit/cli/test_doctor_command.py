"""`remedy doctor` and `remedy explain`: what a person and a program get, and the exit codes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_views import rendered

from remedy.cli.main import run
from remedy.cli.pages import ALIASES, pages
from remedy.cli.views.observing import line
from remedy.doctor.diagnosis import diagnose
from remedy.doctor.watch import Glimpse
from remedy.facts.model import HostFacts

Golden = Callable[[str, str], None]
DATA = Path(__file__).parents[1] / "plan" / "data"


def saved(name: str) -> HostFacts:
    return HostFacts.model_validate_json(gzip.decompress((DATA / f"facts-{name}.json.gz").read_bytes()))


@pytest.fixture
def facts_file(tmp_path: Path) -> Callable[[str], str]:
    def write(name: str) -> str:
        path = tmp_path / f"{name}.json"
        path.write_text(saved(name).model_dump_json())
        return str(path)

    return write


def described(facts: HostFacts) -> dict[str, Any]:
    return json.loads(diagnose(facts).model_dump_json(by_alias=True))


@pytest.mark.parametrize("name", ["operator-28.5", "cross-26.1", "odd-28.5"])
def test_a_diagnosis_reads_as_reviewed(name: str, golden: Golden) -> None:
    golden(f"doctor/{name}.txt", rendered("doctor", described(saved(name))))


def test_a_hostile_name_stays_on_its_line() -> None:
    facts = saved("operator-28.5")
    containers = tuple(c.model_copy(update={"name": f"{c.name}\x1b[2J\n"}) for c in facts.containers)
    page = rendered("doctor", described(facts.model_copy(update={"containers": containers})))
    assert "\x1b" not in page
    assert "dev1-api-1\\x1b[2J\\n" in page


def test_the_json_form_has_the_contracts_keys(facts_file, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--facts", facts_file("operator-28.5"), "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {"format_version", "host", "findings", "proxy_needed", "observed"} <= shown.keys()
    first = shown["findings"][0]
    assert {
        "code",
        "severity",
        "title",
        "evidence",
        "consequence",
        "remedy",
        "confidence",
        "connections",
    } <= first.keys()
    assert first["connections"][0]["from"] == "dev1-haproxy-1"


@pytest.mark.parametrize(("name", "code"), [("operator-28.5", 2), ("odd-28.5", 0)])
def test_findings_end_with_2_where_that_is_wanted(name: str, code: int, facts_file) -> None:
    assert run(["doctor", "--facts", facts_file(name), "--detailed-exitcode"]) == code
    assert run(["doctor", "--facts", facts_file(name)]) == 0


def test_a_bundle_is_written_and_said_so_beside_the_findings(
    facts_file, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["doctor", "--facts", facts_file("operator-28.5"), "--bundle", "bug.json", "--format", "json"]
    assert run(arguments) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["findings"]
    assert "Wrote bug.json" in shown.err
    assert json.loads(Path("bug.json").read_text())["facts.json"]["host"]
    assert run(arguments) == 1
    assert "left alone" in json.loads(capsys.readouterr().out)["error"]["what"]


@pytest.mark.parametrize("duration", ["soon", "0s", "10", "-5s", ""])
def test_a_watch_needs_a_time(duration: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--observe", duration]) == 64
    assert "--observe" in capsys.readouterr().err


def test_a_file_cannot_be_watched(facts_file, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--observe", "5s", "--facts", facts_file("operator-28.5")]) == 64
    assert "--facts is a file" in capsys.readouterr().err


def test_a_watch_shows_how_far_it_is() -> None:
    shown = line(Glimpse(elapsed=30, total=120, consumers=1, connections=17)).plain
    assert "90 s left, 1 consumer, 17 connections" in shown
    assert shown.count("━") == 24


# --- explain ---------------------------------------------------------------------------------------------------------


def test_every_topic_has_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = ["userland-proxy", "hairpin", "notrack", "conntrack", "user-network", "make-before-break"]
    for topic in [*wanted, "who-reaches-what", "limits", "doctor", *pages(), *ALIASES]:
        assert run(["explain", topic]) == 0
        assert capsys.readouterr().out.startswith("# ")


def test_without_a_topic_they_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain"]) == 0
    listed = capsys.readouterr().out
    assert "also: userland-proxy, docker-proxy" in listed
    run(["explain", "--format", "json"])
    topics = json.loads(capsys.readouterr().out)["topics"]
    assert {"topic": "hairpin", "folder": "explanation", "title": "Hairpin"} in topics


def test_an_unknown_topic_is_wrong_usage_and_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "notrak"]) == 64
    assert "did you mean notrack" in capsys.readouterr().err
    assert run(["explain", "qqqq"]) == 64
    assert "remedy explain lists the topics" in capsys.readouterr().err


def test_links_become_topics_on_a_terminal() -> None:
    page = pages()["hairpin"]
    assert "](" not in page.plain_text
    assert "`remedy explain limits`" in page.plain_text


def test_topics_are_found_however_they_are_spelt(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "User_Network"]) == 0
    assert capsys.readouterr().out.startswith("# A network of their own")


def test_every_page_is_in_the_wheel() -> None:
    import tomllib

    repository = Path(__file__).parents[3]
    built = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    targets = [Path(target) for target in built["force-include"].values()]
    packaged = {target.name for target in targets if target.parent == Path("remedy/pages")}
    assert packaged == {page.folder for page in pages().values()}
