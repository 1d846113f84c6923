"""What the stopwatch on the host is told, and what it answers: models that cross from process to process as JSON."""

from __future__ import annotations

from remedy.frozen import Frozen


class SpeedOrder(Frozen):
    """What to time. spec: the remedy.yaml to plan from."""

    spec: str
    rounds: int


class StageTimes(Frozen):
    """Where the seconds of one `remedy plan` go, from the first line of Python on."""

    imports: float
    spec: float
    gather: float
    planning: float
    render: float

    @property
    def total(self) -> float:
        """All stages."""
        return self.imports + self.spec + self.gather + self.planning + self.render


class SpeedRound(Frozen):
    """Seconds, all of the same few moments. help and plan are whole commands, as the operator waits for them."""

    interpreter: float
    help: float
    plan: float
    stages: StageTimes
    raw_reads: float

    @property
    def rest(self) -> float:
        """What no stage accounts for: the command line is built and read, the interpreter ends."""
        return self.plan - self.interpreter - self.stages.total

    @property
    def beyond_reads(self) -> float:
        """What remedy adds to the reads that a plan cannot do without."""
        return self.plan - self.raw_reads


class SpeedSamples(Frozen):
    """All rounds, and what the raw reads are: requests to the engine, programs run."""

    rounds: tuple[SpeedRound, ...]
    requests: int
    programs: int
