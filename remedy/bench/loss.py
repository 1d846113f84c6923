"""One case of the loss benchmark: a lab host, load from everywhere, `remedy apply`, `remedy rollback`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from remedy.bench.load_model import LoadOrder, LoadResult, Vantage
from remedy.bench.loading import Loading
from remedy.bench.priority import favoured
from remedy.bench.vantages import loss_vantages
from remedy.errors import LabError
from remedy.frozen import Frozen
from remedy.lab import Host, lab_up
from remedy.lab.topology import Topology
from remedy.lab.topology_files import load_topology

Direction = Literal["apply", "rollback"]
DIRECTIONS: tuple[Direction, ...] = ("apply", "rollback")
SPEC = "/root/remedy.yaml"
BEFORE_SECONDS, AFTER_SECONDS = 0.5, 2.5
READY_SECONDS = 30.0
COMMAND_TIMEOUT_SECONDS = 300.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Case:
    """One host to change: engine, variant of iptables, number of containers that publish a port."""

    engine: str
    firewall: str
    containers: int
    ip_forward: bool = True  # False: off until the engine starts, which then sets FORWARD's policy to DROP

    def __str__(self) -> str:
        forward = "" if self.ip_forward else ", ip_forward off at first"
        return f"{self.engine} {self.firewall}, {self.containers} containers{forward}"


class CaseResult(Frozen):
    """What the load met while a host was changed in one direction. seconds: how long remedy took."""

    engine: str
    firewall: str
    containers: int
    ip_forward: bool
    direction: Direction
    seconds: float
    notes: tuple[str, ...]
    load: LoadResult

    @property
    def lost(self) -> int:
        """New connections that were refused, broken, or unanswered for too long, from anywhere."""
        return sum(vantage.lost for vantage in self.load.vantages)

    @property
    def is_clean(self) -> bool:
        """Nothing lost, and no kept-alive connection met more than one orderly close."""
        return self.lost == 0 and all(
            vantage.keep_alive_failures == 0 and vantage.keep_alive_closes <= 1 for vantage in self.load.vantages
        )


def measure_case(case: Case, *, name: str, say: Say, priority: int = 0) -> Iterator[CaseResult]:
    """Start the host, change it in both directions under load, take it down. Raises LabError, CommandError."""
    with case_host(case, name) as host, favoured(host, priority):
        wait_until_served(loss_vantages(host))
        run_remedy(host, "init", "-o", SPEC)
        for direction in DIRECTIONS:
            say(f"{case}: {direction}")
            yield measure_change(host, case, direction)


@contextmanager
def case_host(case: Case, name: str) -> Iterator[Host]:
    """The host of a case, for the length of a `with` block."""
    with lab_up(name, engine=case.engine, firewall=case.firewall, topology=case_topology(case)) as host:
        yield host


def case_topology(case: Case) -> Topology:
    """The operator's topology with so many containers in all: haproxy and its backends."""
    topology = load_topology("operator", {"api": case.containers - 1})
    if case.ip_forward:
        return topology
    return topology.model_copy(update={"sysctls": {**topology.sysctls, "net.ipv4.ip_forward": 0}})


def measure_change(host: Host, case: Case, direction: Direction) -> CaseResult:
    """Run `remedy apply` or `remedy rollback` on the host under load. Raises CommandError when remedy fails."""
    with Loading(LoadOrder(vantages=loss_vantages(host))) as loading:
        time.sleep(BEFORE_SECONDS)
        began = time.monotonic()
        words = run_remedy(host, "-c", SPEC, direction, "--yes")
        seconds = time.monotonic() - began
        time.sleep(AFTER_SECONDS)
    return CaseResult(
        engine=case.engine,
        firewall=case.firewall,
        containers=case.containers,
        ip_forward=case.ip_forward,
        direction=direction,
        seconds=round(seconds, 2),
        notes=tuple(line.strip() for line in words.splitlines() if line.startswith("    ") and "..." not in line),
        load=loading.result,
    )


def wait_until_served(vantages: tuple[Vantage, ...]) -> None:
    """Wait until every way works: haproxy takes a moment to find its servers up. Raises LabError."""
    deadline = time.monotonic() + READY_SECONDS
    order = LoadOrder(vantages=vantages, interval_seconds=0.02, keep_alive_interval_seconds=1.0, most_seconds=0.5)
    while time.monotonic() < deadline:
        with Loading(order) as loading:
            time.sleep(order.most_seconds)
        if not any(vantage.lost for vantage in loading.result.vantages):
            return
    waiting = [vantage.name for vantage in loading.result.vantages if vantage.lost]
    raise LabError("not every way works on the fresh host", where=", ".join(waiting))


def run_remedy(host: Host, *arguments: str) -> str:
    """Run remedy on the host; what it wrote. Raises CommandError with its words when it fails."""
    return host.run(["remedy", *arguments], timeout=COMMAND_TIMEOUT_SECONDS).stdout
