"""One scenario from a seed to its cells: host up, facts read, every connection made, the model asked."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from remedy.facts.model import Address, HostFacts
from remedy.truth.compare import Cell, compare
from remedy.truth.conntrack import read_entries
from remedy.truth.live import Living, alive, let_all_errors_through
from remedy.truth.prober import Seen, probe
from remedy.truth.questions import Question, random_questions
from remedy.truth.scenario import Scenario, source_of_chance

CLIENTS_AT_ONCE = 16
Client = tuple[str, Address | None]


@dataclass(frozen=True, slots=True)
class Result:
    """What one host gave."""

    scenario: Scenario
    cells: tuple[Cell, ...]

    @property
    def wrong(self) -> tuple[Cell, ...]:
        """Where the model is wrong."""
        return tuple(cell for cell in self.cells if cell.is_wrong)

    @property
    def unknown(self) -> tuple[Cell, ...]:
        """Where it does not say."""
        return tuple(cell for cell in self.cells if cell.is_unknown)


def run_scenario(scenario: Scenario, prefix: str, cells: int, keep: Path | None = None) -> Result:
    """Bring a host up and compare `cells` connections: half as the engine left bridge-nf, half with the other value.

    keep: a directory for the facts, to look into later.
    """
    with alive(scenario, prefix) as living:
        chance = source_of_chance(scenario.seed, scenario.kind)
        found = _compared(living, scenario, random_questions(living.facts(), chance, cells // 2), keep)
        living.turn_bridge_nf()
        found += _compared(living, scenario, random_questions(living.facts(), chance, cells // 2), keep)
        return Result(scenario, tuple(found))


def _compared(living: Living, scenario: Scenario, questions: Sequence[Question], keep: Path | None) -> list[Cell]:
    pids = let_all_errors_through(living, living.facts())
    facts = living.facts()
    living.forget_connections()
    seen = _ask(questions, pids)
    found = list(compare(facts, questions, seen, read_entries(living.host)))
    found = [cell for cell in found if not _is_silent(cell)] + _once_more(living, facts, pids, found)
    if keep is not None:
        _keep(keep, scenario, facts, any(cell.differences for cell in found))
    return found


def _once_more(living: Living, facts: HostFacts, pids: dict[str, int], cells: Sequence[Cell]) -> list[Cell]:
    """Ask those again, without the crowd, that got no answer against what the model says: a busy machine is slow."""
    questions = [cell.question for cell in cells if _is_silent(cell)]
    return list(compare(facts, questions, _ask(questions, pids), read_entries(living.host)))


def _is_silent(cell: Cell) -> bool:
    return bool(cell.differences) and cell.seen.failure == "no-answer"


def _ask(questions: Sequence[Question], pids: dict[str, int]) -> list[Seen]:
    by_client: dict[Client, list[int]] = {}
    for number, question in enumerate(questions):
        by_client.setdefault((question.source, question.client), []).append(number)
    seen: dict[int, Seen] = {}
    with ThreadPoolExecutor(CLIENTS_AT_ONCE, thread_name_prefix="truth-client") as pool:
        jobs = [
            (numbers, pool.submit(probe, pids[name], [questions[n].to for n in numbers], address))
            for (name, address), numbers in by_client.items()
        ]
        for numbers, job in jobs:
            seen |= dict(zip(numbers, job.result(), strict=True))
    return [seen[number] for number in range(len(questions))]


def _keep(directory: Path, scenario: Scenario, facts: HostFacts, differs: bool) -> None:
    nf = facts.sysctls.get("net.bridge.bridge-nf-call-iptables", "x")
    directory.mkdir(parents=True, exist_ok=True)
    name = f"{scenario.name}-nf{nf}{'-differs' if differs else ''}.json"
    (directory / name).write_text(facts.model_dump_json(by_alias=True))
