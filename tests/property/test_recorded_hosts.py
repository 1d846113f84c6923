"""The packet walk is right about every connection of every recorded host, with bridge netfilter on and off."""

from __future__ import annotations

from pathlib import Path

import pytest

from remedy.captures.__main__ import evaluate
from remedy.captures.facts import load_capture
from remedy.captures.files import find_captures, read_capture
from remedy.doctor.diagnosis import diagnose
from remedy.paths.walk import Datapath

CAPTURES = find_captures(Path(__file__).parents[1] / "captures")


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def test_no_verdict_is_wrong_or_unknown(capture: Path) -> None:
    score = evaluate(capture, Datapath)

    assert score.is_scored
    assert (score.wrong, score.unknown) == (0, 0), score.misses[:5]


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def test_the_doctor_examines_it_and_twice_with_the_same_result(capture: Path) -> None:
    facts = load_capture(read_capture(capture))

    assert diagnose(facts) == diagnose(facts)
    assert diagnose(facts).model_dump_json()
