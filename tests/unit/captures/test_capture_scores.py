"""Questions, answers and scores, with a model that knows the truth, or lies, or breaks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest
from captured import NAMES, VARIANT, facts, files

from remedy.captures.__main__ import evaluate, main
from remedy.captures.answers import with_bridge_nf
from remedy.captures.files import TRUTH, CaptureFiles
from remedy.captures.questions import BridgeNf, Failure, Outcome, read_questions
from remedy.captures.report import last_line, lines_of
from remedy.errors import InputError
from remedy.facts.model import Address, HostFacts
from remedy.spec.models import HostPort

CELLS = [
    {"id": "reached", "from": "web1", "addr": "172.17.0.1", "port": 5001, "proto": "tcp"},
    {"id": "other", "from": "external2", "addr": "10.98.0.10", "port": 5014, "proto": "udp"},
    {"id": "six", "from": "external", "addr": "fd98::10", "port": 5001, "proto": "tcp"},
]
OK = {"ok": True, "by": "side", "src": "172.17.0.1", "proxy": True, "ms": 1.0, "ct": ["one", "two"]}
RESULTS = [
    {"nf1": OK, "nf0": "same"},
    {"nf1": {"ok": False, "err": "timeout"}, "nf0": {"ok": False, "err": "refused"}},
    {"nf1": {"ok": False, "err": "no-address"}, "nf0": "same"},
]


@dataclass(frozen=True)
class Verdict:
    reachable: bool | None
    by: str | None = None
    source_seen: Address | None = None
    userspace_copies: int = 0
    conntrack_entries: int = 0
    failure: str | None = None
    unknown_because: str | None = None


REACHED = Verdict(True, "side", ip_address("172.17.0.1"), 1, 2)


@dataclass
class Fake:
    """A model that answers by the target, and notes what it was asked."""

    verdicts: dict[str, Verdict]
    asked: list[tuple[str, str, str | None, str]] = field(default_factory=list)

    def __call__(self, host: HostFacts) -> Fake.Walk:
        return Fake.Walk(self, host.sysctls["net.bridge.bridge-nf-call-iptables"])

    @dataclass
    class Walk:
        model: Fake
        bridge_nf: str

        def connect(self, source: str, to: HostPort, *, client_address: Address | None = None) -> Verdict:
            self.model.asked.append((source, str(to), client_address and str(client_address), self.bridge_nf))
            key = f"{to} {self.bridge_nf}"
            return self.model.verdicts[key if key in self.model.verdicts else str(to)]


RIGHT = {
    "172.17.0.1:5001": REACHED,
    "10.98.0.10:5014/udp 1": Verdict(False, failure="no-answer"),
    "10.98.0.10:5014/udp 0": Verdict(False, failure="refused"),
    "[fd98::10]:5001": Verdict(False, failure="unreachable"),
}


@pytest.fixture
def capture(tmp_path):
    """Write the state of a recorded host with other questions."""

    def write(results: list[dict[str, object]] = RESULTS, name: str = "asked"):
        directory = tmp_path / "captures" / name
        directory.mkdir(parents=True)
        for file, content in files(VARIANT).content.items():
            (directory / file).write_bytes(content)
        cells = [{**cell, "to": "x", "at": "y", **result} for cell, result in zip(CELLS, results, strict=True)]
        meta = {"external": {"external": "10.98.0.254 / fd98::254", "external2": "10.98.0.66"}}
        (directory / TRUTH).write_text(json.dumps({"meta": meta, "cells": cells}))
        return directory

    return write


@pytest.mark.parametrize("name", NAMES)
def test_the_questions_of_every_capture_are_read_with_their_truth(name):
    meta = files(name).document(TRUTH)["meta"]
    read = read_questions(files(name))
    told = [cell.truth for cell in read.cells]
    assert len(told) == meta["cells"]
    assert sum(truth[BridgeNf.ON].ok is True for truth in told) == meta["ok"]
    assert sum(truth[BridgeNf.ON].by_proxy for truth in told) == meta["ok_by_proxy"]
    different = sum(not truth[BridgeNf.ON].agrees_with(truth[BridgeNf.OFF]) for truth in told)
    assert different == meta["differ_with_other_bridge_nf"]


def test_a_model_that_is_right_has_no_cell_wrong(capture):
    model = Fake(RIGHT)
    score = evaluate(capture(), model)
    assert (score.cells, score.wrong, score.unknown, score.misses) == (3, 0, 0, ())
    assert model.asked == [
        ("web1", "172.17.0.1:5001", None, "1"),
        ("web1", "172.17.0.1:5001", None, "0"),
        ("external", "10.98.0.10:5014/udp", "10.98.0.66", "1"),
        ("external", "10.98.0.10:5014/udp", "10.98.0.66", "0"),
        ("external", "[fd98::10]:5001", "fd98::254", "1"),
        ("external", "[fd98::10]:5001", "fd98::254", "0"),
    ]


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(True, "web1", REACHED.source_seen, 1),
        Verdict(True, "side", ip_address("172.17.0.2"), 1),
        Verdict(True, "side", REACHED.source_seen, 0),
        Verdict(False, failure="refused"),
    ],
)
def test_an_answer_is_wrong_that_differs_in_server_source_proxy_or_success(capture, verdict):
    score = evaluate(capture(), Fake({**RIGHT, "172.17.0.1:5001": verdict}))
    assert (score.wrong, score.unknown, len(score.misses)) == (1, 0, 2)


def test_an_answer_is_wrong_that_fails_in_another_way_and_how_many_entries_it_takes_does_not_count(capture):
    silent = Verdict(False, failure="no-answer", conntrack_entries=7)
    score = evaluate(capture(), Fake({**RIGHT, "10.98.0.10:5014/udp 0": silent}))
    assert (score.wrong, [miss.question.bridge_nf for miss in score.misses]) == (1, [BridgeNf.OFF])


def test_other_conntrack_entries_are_listed_when_asked_for_and_do_not_count_as_wrong(capture, capsys):
    model = Fake({**RIGHT, "172.17.0.1:5001": Verdict(True, "side", REACHED.source_seen, 1, conntrack_entries=1)})
    assert main(["--conntrack", str(capture())], model) == 0
    # With bridge-nf off the capture says "same", which is not said of conntrack.
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  asked reached nf1: 2 conntrack entries; answered 1",
        "3 cells, 0 wrong, 0 unknown",
    ]


def test_a_cell_with_a_wrong_and_an_unknown_answer_is_wrong_once(capture):
    verdicts = {**RIGHT, "172.17.0.1:5001 1": Verdict(None), "172.17.0.1:5001 0": Verdict(False, failure="refused")}
    score = evaluate(capture(), Fake(verdicts))
    assert (score.wrong, score.unknown) == (1, 0)


def test_a_model_that_breaks_at_a_question_knows_no_answer_to_it_alone(capture):
    score = evaluate(capture(), Fake({key: value for key, value in RIGHT.items() if "fd98" not in key}))
    assert (score.cells, score.wrong, score.unknown) == (3, 0, 1)
    assert "KeyError" in "\n".join(lines_of(score))


def test_a_model_that_cannot_be_built_knows_nothing(capture):
    def build(host: HostFacts) -> Fake.Walk:
        raise ValueError("what is this?")

    score = evaluate(capture(), build)
    assert (score.cells, score.wrong, score.unknown) == (3, 0, 3)


def test_a_capture_without_the_truth_is_answered_and_not_scored(capture, tmp_path, capsys):
    directory = capture([{}, {}, {}])
    out = tmp_path / "answers"
    model = Fake({**RIGHT, "[fd98::10]:5001": Verdict(None, unknown_because="-m bpf: not known")})
    assert main([str(directory), "--out", str(out)], model) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "3 cells, not scored,    1 unknown" in printed[0]
    assert printed[1] == "  unknown six nf1: answered unknown (-m bpf: not known)"
    assert printed[-1] == "3 cells, 0 wrong, 1 unknown"
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(line["id"], line["nf"]) for line in lines] == [
        (cell["id"], setting) for cell in CELLS for setting in ("nf1", "nf0")
    ]
    assert lines[0] == {
        "dir": "asked",
        "id": "reached",
        "nf": "nf1",
        "ok": True,
        "by": "side",
        "src": "172.17.0.1",
        "proxy": True,
        "err": None,
        "conntrack_entries": 2,
    }
    assert [line["err"] for line in lines[2:]] == ["timeout", "refused", None, None]
    assert lines[-1]["ok"] is None


def test_the_report_names_what_is_wrong_and_sums_up_all_captures(capture, capsys):
    capture()
    capture(name="second")
    wrong = Verdict(True, "web1", ip_address("172.17.0.2"))
    assert main([str(capture(name="third").parent)], Fake({**RIGHT, "172.17.0.1:5001 0": wrong})) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == [
        "asked                                                3 cells,    1 wrong,    0 unknown",
        "  wrong   reached nf0: is by side, source 172.17.0.1, docker-proxy; answered by web1, source 172.17.0.2",
    ]
    assert printed[-1] == "9 cells, 3 wrong, 0 unknown"


def test_a_capture_whose_questions_cannot_be_read_is_said_and_the_others_count(capture, capsys):
    capture()
    (capture(name="broken") / TRUTH).write_text('{"cells": [{}]}')
    assert main([str(capture(name="good").parent)], Fake(RIGHT)) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1] == "6 cells, 0 wrong, 0 unknown"
    assert "broken/truth.json" in printed.err


def test_no_captures_is_an_error_in_a_sentence(tmp_path, capsys):
    assert main([str(tmp_path)], Fake({})) == 1
    assert "there is no capture" in capsys.readouterr().err


def test_a_capture_without_questions_is_told():
    with pytest.raises(InputError, match="no questions"):
        read_questions(CaptureFiles("x", {}))


def test_an_error_of_a_kind_nobody_knows_agrees_with_no_known_one():
    content = json.dumps({"cells": [{**CELLS[0], "nf1": {"ok": False, "err": "on fire"}}]}).encode()
    truth = read_questions(CaptureFiles("x", {TRUTH: content})).cells[0].truth[BridgeNf.OFF]
    assert not any(truth.agrees_with(Outcome(ok=False, failure=failure)) for failure in Failure)


def test_bridge_nf_is_set_for_both_families_and_nothing_else_changes():
    off = with_bridge_nf(facts(VARIANT), BridgeNf.OFF)
    changed = {key for key, value in off.sysctls.items() if facts(VARIANT).sysctls.get(key) != value}
    assert changed == {"net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"}
    assert off.model_copy(update={"sysctls": {}}) == facts(VARIANT).model_copy(update={"sysctls": {}})
    assert last_line([]) == "0 cells, 0 wrong, 0 unknown"
