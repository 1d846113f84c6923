"""Saved facts of any number of hosts, planned side by side. No host is asked."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import stat
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from multiprocessing.process import parent_process
from pathlib import Path

from remedy.errors import InputError, RemedyError, SpecError
from remedy.facts import HostFacts, load_facts
from remedy.fleet.grouping import Answer, Grouping, digest_of, outline_of, result_of
from remedy.fleet.model import FleetPlan, PlannedHost
from remedy.plan.model import Plan
from remedy.plan.plan_file import save_plan
from remedy.plan.planner import make_plan
from remedy.spec.load import load_spec, spec_digest, with_place
from remedy.spec.models import Spec

MAX_BYTES = 256 * 1024 * 1024  # a host of 1,000 containers has 10 MB of facts
_ENDINGS = (".facts.json", ".json")
_FILES_AT_ONCE = 4
COLLECT_AFTER_OBJECTS = 100_000  # facts are many objects and no garbage

Done = Callable[[int, int], None]


class Planner:
    """Plans facts files by one remedy.yaml, each for itself: what is wrong with one is that one's answer.

    plans: the directory that the plans are saved in; None: nowhere.
    """

    def __init__(self, spec_path: Path, plans: Path | None) -> None:
        self._spec_path = spec_path
        self._spec: Spec = load_spec(spec_path)
        self._digest = spec_digest(self._spec)
        self._plans = plans

    def answer(self, file: Path) -> Answer:
        """Plan one file. Never raises because of it."""
        name = host_name(file)
        saved = None if self._plans is None else self._plans / f"{name}.plan"
        try:
            plan = self._plan(_facts(file))
            if saved is not None:
                save_plan(plan, saved)
        except RemedyError as error:
            return _failed(file, error)
        except OSError as error:
            return _failed(file, InputError("the plan cannot be saved", where=str(saved), why=error.strerror))
        except Exception as error:  # one file more or less must not end all others
            return _failed(file, RemedyError(f"internal error: {type(error).__name__}: {error}", where=str(file)))
        described = plan.model_dump(
            mode="json", by_alias=True, include={"changes", "actions", "paths", "refusals", "warnings"}
        )
        outline = outline_of(described)
        row = PlannedHost(
            name=name,
            result=result_of(described),
            host=plan.host,
            facts_file=str(file),
            plan_file=None if saved is None else str(saved),
        )
        return Answer(row, digest_of(outline), outline)

    def _plan(self, facts: HostFacts) -> Plan:
        try:
            return make_plan(self._spec, facts, spec_digest=self._digest, now=datetime.now(UTC))
        except SpecError as error:
            raise with_place(error, self._spec_path) from error


def plan_directory(directory: Path, spec_path: Path, plans: Path | None, done: Done) -> FleetPlan:
    """Plan every facts file of a directory, in the order of their names.

    done: called with how many are planned, of how many. Raises InputError, SpecError.
    """
    files = facts_files(directory)
    planner = Planner(spec_path, plans)  # what is wrong with remedy.yaml is wrong for all of them
    if plans is not None:
        plans.mkdir(mode=0o700, parents=True, exist_ok=True)
    grouping = Grouping()
    for number, answer in enumerate(_answers(planner, files), start=1):
        grouping.add(answer)
        done(number, len(files))
    return grouping.plan()


def facts_files(directory: Path) -> tuple[Path, ...]:
    """Return the files of a directory that should be facts: NAME.json, hidden ones left out. Raises InputError."""
    next_step = "remedy fleet facts -i INVENTORY -o DIR, or remedy facts -o DIR/NAME.facts.json on each host"
    try:
        found = sorted(path for path in directory.iterdir() if path.suffix == ".json" and path.name[0] != ".")
    except OSError as error:
        what = "the directory of facts cannot be read"
        raise InputError(what, where=str(directory), why=error.strerror, next_step=next_step) from error
    if not found:
        raise InputError("no facts files are in this directory", where=str(directory), next_step=next_step)
    times = Counter(map(host_name, found))
    if len(times) < len(found):
        both = ", ".join(path.name for path in found if times[host_name(path)] > 1)
        raise InputError(
            "two facts files are called like the same host", where=str(directory), why=both, next_step="rename one"
        )
    return tuple(found)


def host_name(file: Path) -> str:
    """Return what a facts file calls its host: its name without the ending."""
    return next(file.name.removesuffix(ending) for ending in _ENDINGS if file.name.endswith(ending))


def _facts(file: Path) -> HostFacts:
    try:
        state = file.stat()
    except OSError as error:
        raise InputError("the facts file cannot be read", where=str(file), why=error.strerror) from error
    if not stat.S_ISREG(state.st_mode):
        raise InputError("this is not a facts file", where=str(file), why="it is no regular file")
    if state.st_size > MAX_BYTES:
        raise InputError("this is not a facts file", where=str(file), why=f"it is larger than {MAX_BYTES >> 20} MiB")
    return load_facts(file)


def _failed(file: Path, error: RemedyError) -> Answer:
    return Answer(PlannedHost(name=host_name(file), result="failed", facts_file=str(file), error=error.as_json()))


def _answers(planner: Planner, files: Sequence[Path]) -> Iterator[Answer]:
    """Yield the answers in the order of the files, from as many processes as there are processors."""
    workers = min(len(os.sched_getaffinity(0)), -(-len(files) // _FILES_AT_ONCE))
    if workers == 1:
        yield from map(planner.answer, files)
        return
    # By fork, while this process has no thread yet: nothing is imported again, above all not from the current
    # directory, where `python -c` (spawn, forkserver) looks first.
    context = multiprocessing.get_context("fork")
    answered = 0
    with ProcessPoolExecutor(workers, context, _begin) as pool:
        try:
            for answer in pool.map(planner.answer, files, chunksize=_FILES_AT_ONCE):
                answered += 1
                yield answer
        except BrokenProcessPool:
            lost = RemedyError("a process that planned was killed", why="out of memory?", next_step="plan again")
            yield from (_failed(file, lost) for file in files[answered:])
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    """Start a worker process."""
    gc.set_threshold(COLLECT_AFTER_OBJECTS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C is the main process's to answer
    threading.Thread(target=_end_with_the_main_process, daemon=True).start()


def _end_with_the_main_process() -> None:
    """A worker whose main process was killed would wait for its next file for ever."""
    main = parent_process()
    if main is not None:
        main.join()
        os._exit(1)
