"""What the times of a plan add up to, the promise that rests on them, and how they are shown."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from rendering import rows_of

from remedy.bench.raw_reads import recorded_reads
from remedy.bench.speed import SpeedResult
from remedy.bench.speed_model import SpeedRound, SpeedSamples, StageTimes
from remedy.bench.speed_table import PARTS, speed_table, speed_verdict

STAGES = StageTimes(imports=0.2, spec=0.01, gather=0.15, planning=0.02, render=0.03)


def one_round(help_seconds: float = 0.06, plan: float = 0.45, raw_reads: float = 0.1) -> SpeedRound:
    return SpeedRound(interpreter=0.01, help=help_seconds, plan=plan, stages=STAGES, raw_reads=raw_reads)


def result(*rounds: SpeedRound) -> SpeedResult:
    samples = SpeedSamples(rounds=rounds, requests=23, programs=50)
    return SpeedResult(engine="28.5", firewall="nft", containers=20, samples=samples)


def test_the_parts_are_the_whole_command() -> None:
    measured = one_round()

    assert sum(part(measured) for _, part in PARTS) == pytest.approx(measured.plan)


def test_raw_reads_are_taken_from_the_plan_of_the_same_round() -> None:
    # The machine was slow in the second round, for both.
    measured = result(one_round(), one_round(plan=2.0, raw_reads=1.65), one_round())

    assert measured.median(lambda one: one.beyond_reads) == pytest.approx(0.35)


@pytest.mark.parametrize(
    ("measured", "kept"),
    [
        (one_round(), True),
        (one_round(help_seconds=0.21), False),
        (one_round(plan=0.8, raw_reads=0.21), True),
        (one_round(plan=0.8, raw_reads=0.19), False),
    ],
)
def test_the_promise_is_both_commands(measured: SpeedRound, kept: bool) -> None:
    assert result(measured).keeps_promise is kept
    assert speed_verdict(result(measured)).endswith("promise kept" if kept else "promise BROKEN")


def test_one_slow_round_is_shown_and_breaks_no_promise() -> None:
    measured = result(one_round(), one_round(help_seconds=0.5), one_round())

    assert measured.keeps_promise
    assert ["remedy --help", "60", "500", "200"] in rows_of(speed_table(measured))


def test_the_table_says_what_was_read_and_what_is_promised() -> None:
    rows = rows_of(speed_table(result(one_round())))

    assert ["imports", "200", "200", ""] in rows
    assert ["raw reads: 23 requests to the engine, 50 programs", "100", "100", ""] in rows
    assert ["remedy plan beyond the raw reads", "350", "350", "600"] in rows


def test_a_recorded_program_is_run_again_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "heard"
    with recorded_reads() as reads:
        subprocess.run(["tee", "-a", path], input=b"once\n", capture_output=True, check=True)
    subprocess.run(["true"], check=True)

    assert reads.repeat() > 0
    assert path.read_text() == "once\nonce\n"
    assert (len(reads.programs), reads.requests) == (1, [])
