"""The stopwatch: a program on the host, so that nothing but the commands themselves is timed.

python -m remedy.bench.stopwatch       a SpeedOrder (JSON) on stdin, SpeedSamples (JSON) on stdout
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from remedy.bench.raw_reads import RawReads, recorded_reads
from remedy.bench.speed_model import SpeedOrder, SpeedRound, SpeedSamples, StageTimes
from remedy.facts import gather
from remedy.host.commands import Completed, run_command

TIMEOUT_SECONDS = 60.0


def time_all(order: SpeedOrder) -> SpeedSamples:
    """Time each thing once a round. Raises CommandError when a command fails."""
    with recorded_reads() as reads:
        gather()
    _one_round(order.spec, reads)  # the first run of anything reads the disk
    rounds = tuple(_one_round(order.spec, reads) for _ in range(order.rounds))
    return SpeedSamples(rounds=rounds, requests=len(reads.requests), programs=len(reads.programs))


def _one_round(spec: str, reads: RawReads) -> SpeedRound:
    interpreter, _ = _timed([sys.executable, "-c", "pass"])
    help_seconds, _ = _timed(["remedy", "--help"])
    plan_seconds, _ = _timed(["remedy", "-c", spec, "plan"])
    _, staged = _timed([sys.executable, "-m", "remedy.bench.plan_stages", spec])
    return SpeedRound(
        interpreter=interpreter,
        help=help_seconds,
        plan=plan_seconds,
        stages=StageTimes.model_validate_json(staged.stderr),
        raw_reads=reads.repeat(),
    )


def _timed(command: Sequence[str]) -> tuple[float, Completed]:
    began = time.perf_counter()
    done = run_command(command, timeout=TIMEOUT_SECONDS)
    return time.perf_counter() - began, done


def main() -> None:
    """Read the order, time, answer."""
    samples = time_all(SpeedOrder.model_validate_json(sys.stdin.read()))
    sys.stdout.write(samples.model_dump_json() + "\n")


if __name__ == "__main__":
    main()
