"""One rollout over many hosts: how long a host takes, and how much of that is not Ansible's own.

The same rollout is played three times: with remedy; with a program that gives remedy's recorded answers at once; and
with tasks that do nothing. What lies between the second and the first is remedy at work on the hosts, between the third
and the second the playbooks and modules, and the third is what Ansible takes for that many tasks, whatever they do.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from remedy.bench.fleet_hosts import (
    RECORDED,
    REPLAYED,
    Call,
    available_mebibytes,
    calls_on,
    check_memory,
    fleet,
    not_applied,
)
from remedy.bench.fleet_play import Controller, Play
from remedy.bench.loss import Say
from remedy.frozen import Frozen


class Batch(Frozen):
    """A play for some of the hosts."""

    name: str
    hosts: int
    tasks: int
    seconds: float


class FleetResult(Frozen):
    """What was timed. Seconds are of the whole rollout."""

    engine: str
    firewall: str
    forks: int
    hosts: int
    mebibytes: int
    rollout: float
    replayed: float
    idle: float
    batches: tuple[Batch, ...]
    calls: tuple[tuple[Call, ...], ...]
    not_applied: tuple[str, ...]

    @property
    def seconds_on_hosts(self) -> tuple[float, ...]:
        """How long remedy was at work on each host, all its calls together."""
        return tuple(sum(call.seconds for call in calls) for calls in self.calls)

    @property
    def commands(self) -> tuple[str, ...]:
        """What remedy was asked, each once, in the order of the first host."""
        return tuple(dict.fromkeys(call.command for call in self.calls[0]))

    def seconds_of(self, command: str) -> tuple[float, ...]:
        """How long each host worked for a command, all its calls together."""
        return tuple(sum(call.seconds for call in calls if call.command == command) for calls in self.calls)

    def times_of(self, command: str) -> float:
        """How often a host was asked for it."""
        return median(sum(call.command == command for call in calls) for calls in self.calls)


def measure_fleet(engine: str, firewall: str, *, hosts: int, forks: int, say: Say) -> FleetResult:
    """Start the hosts, roll out, take them down. Raises LabError, CommandError, MissingExtraError."""
    before = available_mebibytes()
    check_memory(hosts, before)
    with tempfile.TemporaryDirectory(prefix="remedy-fleet-") as directory:
        controller = Controller(Path(directory), forks)
        with fleet(f"bench-{os.getpid()}", engine, firewall, hosts, controller.key, say) as made:
            taken = before - available_mebibytes()
            controller.know(made)
            say(f"apply.yml for {hosts} hosts")
            rollout = controller.apply(RECORDED)
            calls, left = tuple(calls_on(host) for host in made), not_applied(made)
            say("the same with a remedy that answers at once")
            replayed = controller.apply(REPLAYED)
            say("as many tasks that do nothing")
            idle = controller.idle(rollout)
    return FleetResult(
        engine=engine,
        firewall=firewall,
        forks=forks,
        hosts=hosts,
        mebibytes=taken,
        rollout=rollout.seconds,
        replayed=replayed.seconds,
        idle=idle.seconds,
        batches=_batches(rollout.plays),
        calls=calls,
        not_applied=left,
    )


def _batches(plays: Sequence[Play]) -> tuple[Batch, ...]:
    return tuple(
        Batch(name=play.name, hosts=len(play.hosts), tasks=len(play.tasks), seconds=play.seconds) for play in plays
    )
