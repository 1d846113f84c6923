"""The packet walk is right about every connection of every recorded host, with bridge netfilter on and off."""

from __future__ import annotations

from pathlib import Path

import pytest

from remedy.captures.__main__ import evaluate
from remedy.captures.files import find_captures
from remedy.paths.walk import Datapath

CAPTURES = find_captures(Path(__file__).parents[1] / "captures")


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def test_no_verdict_is_wrong_or_unknown(capture: Path) -> None:
    score = evaluate(capture, Datapath)

    assert score.is_scored
    assert (score.wrong, score.unknown) == (0, 0), score.misses[:5]
