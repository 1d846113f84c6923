"""What was seen while containers were made again, put together: pure, from records to figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from remedy.bench.load_model import Incident, LoadResult, VantageResult
from remedy.bench.rule_times import RulesSeen
from remedy.frozen import Frozen

PROMISED_SECONDS = 1.0
_LOSSES = ("refused", "reset", "failed", "late", "never", "keep-alive cut", "keep-alive reset", "keep-alive late")
_LATE = ("late", "keep-alive late")
_WRONG = ("wrong", "keep-alive wrong")


@dataclass(frozen=True, slots=True)
class Spell:
    """One container from its making to its removal; moments in Unix time.

    port: the one that it publishes, None for a stranger. removing: when its predecessor's removal was asked for, so
    from when on nobody could be there; listening: when it took connections.
    """

    name: str
    port: int | None
    address: str
    removing: float
    started: float
    listening: float
    died: float | None = None

    def has_at(self, moment: float) -> bool:
        """Whether the address was its own then."""
        return self.started <= moment and (self.died is None or moment < self.died)


class Loss(Frozen):
    """A request that was lost, or answered by somebody else. to: the port's container."""

    who: str
    to: str
    incident: Incident


class Late(Frozen):
    """A container whose port did not lead to it in time. started: Unix time of its start event; right_ms: None: never;
    lived_seconds: None: to the end.
    """

    name: str
    address: str
    started: float
    right_ms: float | None
    lived_seconds: float | None


class Judged(Frozen):
    """right_ms: from each start event to rules that lead to that container, sorted; late: to whom they did not within
    the promised time. mistaken_ms: how long, in sum, a rule led to the address of a running container of somebody
    else's.
    """

    recreations: int
    right_ms: tuple[float, ...]
    late: tuple[Late, ...]
    mistaken_ms: float
    requests: int
    wrong: tuple[Loss, ...]
    lost_to_stopped: int
    lost_while_up: tuple[Loss, ...]
    slow: int

    @property
    def right_median_ms(self) -> float:
        """Half of them were faster."""
        return median(self.right_ms) if self.right_ms else 0.0

    @property
    def right_p95_ms(self) -> float:
        """Nineteen of twenty were faster."""
        return self.right_ms[int(len(self.right_ms) * 0.95)] if self.right_ms else 0.0

    @property
    def right_worst_ms(self) -> float:
        """The slowest."""
        return self.right_ms[-1] if self.right_ms else 0.0

    @property
    def keeps_promise(self) -> bool:
        """Nobody answered in another's place, nothing lost to a container that was there, right within a second."""
        return not self.late and not self.wrong and not self.lost_while_up


def judge(spells: Sequence[Spell], seen: Sequence[RulesSeen], load: LoadResult, names: dict[str, str]) -> Judged:
    """names: vantage point -> the container that it means."""
    again = [spell for spell in spells if spell.port is not None and spell.removing > 0]
    times = [_right_after(spell, seen) for spell in again]
    down = {name: [s for s in again if s.name == name] for name in names.values()}
    lost = [loss for vantage in load.vantages for loss in _losses(vantage, names[vantage.name])]
    while_up = tuple(loss for loss in lost if not _met_nobody(loss.incident, down[loss.to]))
    return Judged(
        recreations=len(again),
        right_ms=tuple(sorted(round(each * 1000, 1) for each in times if each is not None)),
        late=tuple(_late(again, times)),
        mistaken_ms=round(sum(_mistaken(spells, seen)) * 1000, 1),
        requests=sum(vantage.connections + vantage.keep_alive_requests for vantage in load.vantages),
        wrong=tuple(
            Loss(who=vantage.name, to=names[vantage.name], incident=incident)
            for vantage in load.vantages
            for incident in vantage.incidents
            if incident.kind in _WRONG
        ),
        lost_to_stopped=len(lost) - len(while_up),
        lost_while_up=while_up,
        slow=sum(
            incident.kind in _LATE and not incident.retransmits
            for vantage in load.vantages
            for incident in vantage.incidents
        ),
    )


def _right_after(spell: Spell, seen: Sequence[RulesSeen]) -> float | None:
    """Seconds from its start until its port led to it; None: it was removed before, or never."""
    for rules, following in pairwise([*seen, None]):
        in_force_until = float("inf") if following is None else following.at
        if rules is None or (spell.died is not None and rules.at >= spell.died):
            return None  # the next one of its name may have the same address
        if in_force_until > spell.started and rules.rules.get(spell.port or 0) == spell.address:
            return max(0.0, rules.at - spell.started)
    return None


def _late(spells: Iterable[Spell], times: Iterable[float | None]) -> Iterator[Late]:
    """Who was there for as long as its rules may take, and had none by then."""
    for spell, after in zip(spells, times, strict=True):
        lived = None if spell.died is None else round(spell.died - spell.started, 3)
        if (after is None and (lived is None or lived > PROMISED_SECONDS)) or (after or 0.0) > PROMISED_SECONDS:
            right = None if after is None else round(after * 1000, 1)
            yield Late(
                name=spell.name, address=spell.address, started=spell.started, right_ms=right, lived_seconds=lived
            )


def _mistaken(spells: Sequence[Spell], seen: Sequence[RulesSeen]) -> Iterator[float]:
    """For each rule and stranger: the seconds in which it led to the stranger."""
    for rules, following in pairwise(seen):
        for port, address in rules.rules.items():
            for spell in spells:
                if spell.address == address and spell.port != port:
                    until = following.at if spell.died is None else min(following.at, spell.died)
                    yield max(0.0, until - max(rules.at, spell.started))


def _losses(vantage: VantageResult, name: str) -> Iterable[Loss]:
    """A late answer without a segment sent again is a busy machine's, and no loss."""
    for incident in vantage.incidents:
        if incident.kind in _LOSSES and (incident.kind not in _LATE or incident.retransmits):
            yield Loss(who=vantage.name, to=name, incident=incident)


def _met_nobody(incident: Incident, spells: Iterable[Spell]) -> bool:
    """Whether the request was under way while its container was being made again."""
    ended = incident.at + incident.milliseconds / 1000
    return any(incident.at < spell.listening and ended > spell.removing for spell in spells)
