"""The speed benchmark finds all parts of a plan on every kind of host. How long they take is no test's business."""

from __future__ import annotations

import pytest

from remedy.bench.loss import Case
from remedy.bench.speed import measure_speed

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(("engine", "firewall"), [("20.10", "legacy"), ("28.5", "nft")])
def test_every_stage_and_every_read_of_a_plan_is_timed(engine: str, firewall: str) -> None:
    result = measure_speed(Case(engine, firewall, 4), rounds=2, say=print)

    assert len(result.samples.rounds) == 2
    for one in result.samples.rounds:
        stages = one.stages
        assert min(one.interpreter, one.help, stages.imports, stages.spec, stages.gather, stages.planning) > 0
        assert one.plan > stages.gather > 0
        assert 0 < one.raw_reads < one.plan
    # version, info, networks, the list, and an inspect for each container
    assert result.samples.requests == 4 + 4
    # `ip` in the host's and in each container's namespace, at least
    assert result.samples.programs >= 5
