"""How long an operator waits for `remedy --help` and `remedy plan`, and for what."""

from __future__ import annotations

import compileall
import os
from collections.abc import Callable
from pathlib import Path
from statistics import median

import remedy
from remedy.bench.loss import SPEC, Case, Say, case_host, run_remedy, wait_until_served
from remedy.bench.priority import favoured
from remedy.bench.speed_model import SpeedOrder, SpeedRound, SpeedSamples
from remedy.bench.vantages import throughput_vantages
from remedy.frozen import Frozen
from remedy.lab import Host
from remedy.lab.interpreter import inner_python
from remedy.lab.layout import find_layout

PROMISED_HELP_SECONDS, PROMISED_PLAN_SECONDS = 0.2, 0.6
SECONDS_A_ROUND = 30.0

Part = Callable[[SpeedRound], float]


class SpeedResult(Frozen):
    """What was timed on one kind of host."""

    engine: str
    firewall: str
    containers: int
    samples: SpeedSamples

    def median(self, part: Part) -> float:
        """The median over the rounds of something of a round, in seconds."""
        return median(part(one) for one in self.samples.rounds)

    def slowest(self, part: Part) -> float:
        """The worst round."""
        return max(part(one) for one in self.samples.rounds)

    @property
    def keeps_promise(self) -> bool:
        """Whether both medians are within what is promised."""
        return (
            self.median(lambda one: one.help) <= PROMISED_HELP_SECONDS
            and self.median(lambda one: one.beyond_reads) <= PROMISED_PLAN_SECONDS
        )


def measure_speed(case: Case, *, rounds: int, say: Say, priority: int = 0) -> SpeedResult:
    """Start the host and time the commands on it. Raises LabError, CommandError."""
    say(f"{case}: starting the host")
    # An installed remedy comes compiled; a checkout is compiled as it is used, and hosts may not write into it.
    compileall.compile_dir(Path(remedy.__file__).parent, quiet=2)
    with case_host(case, f"bench-{os.getpid()}") as host, favoured(host, priority):
        wait_until_served(throughput_vantages(host))
        run_remedy(host, "init", "-o", SPEC)
        say(f"{case}: {rounds} rounds")
        samples = _time_on(host, SpeedOrder(spec=SPEC, rounds=rounds))
    return SpeedResult(engine=case.engine, firewall=case.firewall, containers=case.containers, samples=samples)


def _time_on(host: Host, order: SpeedOrder) -> SpeedSamples:
    python = str(inner_python(find_layout().cache))
    answer = host.run(
        [python, "-m", "remedy.bench.stopwatch"],
        stdin=order.model_dump_json(),
        timeout=(order.rounds + 2) * SECONDS_A_ROUND,
    )
    return SpeedSamples.model_validate_json(answer.stdout)
