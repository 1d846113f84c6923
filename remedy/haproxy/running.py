"""The haproxy that runs now: its master, its workers, and how it was started.

A container that restarted has another process, so a haproxy is looked up by its container or unit each time it is
needed. A process is told from a later one with the same number by the moment of its start.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from remedy.facts.container_processes import ContainerProcesses
from remedy.facts.haproxy import HAPROXY_PROGRAM, find_masters
from remedy.facts.model import Container
from remedy.facts.processes import (
    Process,
    find_processes,
    is_on_host,
    parse_start_ticks,
    read_image,
    read_proc_text,
    read_process,
)
from remedy.haproxy.containers import Containers
from remedy.host.commands import run_command


@dataclass(frozen=True, slots=True, order=True)
class ProcessIdentity:
    """A process, and when it started in clock ticks since boot."""

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class RunningHaproxy:
    """A haproxy at work.

    master: the process that is told to reload; a haproxy without workers is its own. seen_by: a process that sees the
    files as haproxy's configuration names them, 0: remedy itself does.
    """

    master: ProcessIdentity
    arguments: tuple[str, ...]
    seen_by: int

    @property
    def pid(self) -> int:
        """The master's process."""
        return self.master.pid

    @property
    def root_pid(self) -> int:
        """A process with the root that the configuration's paths begin at."""
        return self.seen_by or os.getpid()

    @property
    def is_alive(self) -> bool:
        """Whether this very master still runs."""
        return identity_of(self.pid) == self.master

    @property
    def life(self) -> str:
        """A digest that changes when the master starts itself anew, as it does when it is told to reload.

        It then has other arguments, and keeps account of its workers and of loads that failed in its environment.
        """
        image = read_image(self.pid)
        return hashlib.sha256(image.command_line + b"\0" + image.environment).hexdigest()

    def workers(self) -> frozenset[ProcessIdentity]:
        """Those that serve: its children, or itself where it has none."""
        children = [one.pid for one in find_processes([HAPROXY_PROGRAM]) if one.parent == self.pid]
        found = frozenset(known for pid in children if (known := identity_of(pid)) is not None)
        return found or frozenset({self.master})


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a haproxy is looked for: in a container, or as a unit of the host."""

    containers: Containers
    container_id: str | None
    unit: str | None

    def find(self) -> RunningHaproxy | None:
        """The haproxy, None while there is none. Raises EngineError."""
        if self.container_id is None:
            return self._of_unit()
        container = self.containers.find(self.container_id)
        if container is None or not container.is_running:
            return None
        return next((_running(process, container.pid) for process in _masters_in(container)), None)

    def _of_unit(self) -> RunningHaproxy | None:
        shown = run_command(["systemctl", "show", "-p", "MainPID", "--value", self.unit or ""], check=False).stdout
        process = read_process(int(shown)) if shown.strip().isdigit() and shown.strip() != "0" else None
        if process is None or process.program != HAPROXY_PROGRAM:
            return None
        return _running(process, 0 if is_on_host(process.pid) else process.pid)


def identity_of(pid: int) -> ProcessIdentity | None:
    """The process with this number, None when there is none or it is a dead child that waits for its parent."""
    try:
        stat = read_proc_text(pid, "stat")
        state = stat[stat.rindex(")") + 1 :].split()[0]
        return None if state in ("Z", "X") else ProcessIdentity(pid, parse_start_ticks(stat))
    except (OSError, ValueError, IndexError):
        return None


def as_json(running: RunningHaproxy, workers: Iterable[ProcessIdentity]) -> dict[str, object]:
    """What a later look needs to know this haproxy again, and to see whether it was reloaded since."""
    return {
        "pid": running.pid,
        "started": running.master.started,
        "seen_by": running.seen_by,
        "life": running.life,
        "workers": [[one.pid, one.started] for one in sorted(workers)],
    }


def known_again(recorded: Mapping[str, object]) -> RunningHaproxy | None:
    """The recorded haproxy, if that very process still runs: found without the engine."""
    with suppress(KeyError, TypeError, ValueError):
        master = ProcessIdentity(int(str(recorded["pid"])), int(str(recorded["started"])))
        process = read_process(master.pid)
        if process is not None and process.program == HAPROXY_PROGRAM and identity_of(master.pid) == master:
            return RunningHaproxy(master, process.arguments, int(str(recorded["seen_by"])))
    return None


def was_reloaded(recorded: Mapping[str, object], running: RunningHaproxy) -> bool:
    """Whether haproxy has loaded its configuration since it was recorded, has failed to, or is about to."""
    now = [[one.pid, one.started] for one in sorted(running.workers())]
    return now != recorded.get("workers") or running.life != recorded.get("life")


def _masters_in(container: Container) -> list[Process]:
    owners = ContainerProcesses([container])
    masters = find_masters(find_processes([HAPROXY_PROGRAM]))
    return [process for process in masters if owners.owner_of(process.pid, process.parent) is not None]


def _running(process: Process, seen_by: int) -> RunningHaproxy | None:
    master = identity_of(process.pid)
    return None if master is None else RunningHaproxy(master, process.arguments, seen_by)
