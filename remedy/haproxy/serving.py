"""Whether new workers have taken over: they hold the listening sockets, and the old ones do not any more.

The old workers hand the very sockets over, so one of a port is held by both for a moment; an old one that has let go of
all of them only finishes what it has begun.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass

from remedy.errors import HaproxyError
from remedy.facts.model import Address, Protocol
from remedy.facts.sockets import read_sockets, socket_inodes
from remedy.haproxy.running import ProcessIdentity, RunningHaproxy, Whereabouts, identity_of
from remedy.host.namespaces import run_in_network_namespace

TAKE_OVER_SECONDS = 30.0
INTERVAL_SECONDS = 0.03

Port = tuple[Protocol, Address, int]


@dataclass(frozen=True, slots=True)
class Serving:
    """Who serves what at one moment (in clock ticks since boot)."""

    workers: frozenset[ProcessIdentity]
    ports: frozenset[Port]
    moment: int


def look(running: RunningHaproxy) -> Serving:
    """The workers that are there, and the ports that they listen on together. Raises OSError."""
    workers = running.workers()
    return Serving(workers, frozenset(_held(running.pid, workers).values()), ticks_since_boot())


def wait_until_taken_over(
    place: Whereabouts, running: RunningHaproxy, before: Serving, *, seconds: float = TAKE_OVER_SECONDS
) -> RunningHaproxy:
    """Until workers that started after `before` serve every port; the haproxy they belong to. Raises HaproxyError.

    Not any new worker: that of a reload under way (of a killed remedy) may have read what was there before.
    A master that ends meanwhile (a restart) is looked for again by its container or unit.
    """
    deadline = time.monotonic() + seconds
    current: RunningHaproxy | None = running
    while time.monotonic() < deadline:
        if current is None or not current.is_alive:
            current = place.find()
        if current is not None and _has_taken_over(current, before):
            return current
        time.sleep(INTERVAL_SECONDS)
    raise HaproxyError(
        f"haproxy's new workers did not take over within {seconds:g} s",
        why=_why(place, current),
        next_step="look at what haproxy logged: docker logs, or journalctl",
    )


def _why(place: Whereabouts, current: RunningHaproxy | None) -> str:
    reason = "its master is gone" if current is None else "the old ones serve on, the new configuration did not load"
    words = None if place.container_id is None else place.containers.last_words(place.container_id)
    # Of a log that goes to the standard output only what haproxy says of itself, and no requests.
    own = [line for line in (words or "").splitlines() if line.startswith(("[ALERT]", "[WARNING]"))]
    return "; ".join([reason, *own])


def still_alive(workers: Iterable[ProcessIdentity]) -> frozenset[ProcessIdentity]:
    """Those of the workers that have not ended."""
    return frozenset(worker for worker in workers if identity_of(worker.pid) == worker)


def ticks_since_boot() -> int:
    """The time as /proc/PID/stat gives that of a start: no jump of the clock changes it."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def _has_taken_over(running: RunningHaproxy, before: Serving) -> bool:
    workers = running.workers()
    new = {worker for worker in workers - before.workers if worker.started >= before.moment}
    old = (workers | before.workers) - new
    if not new:
        return False
    try:
        held = _held(running.pid, new)
    except OSError:
        return False
    by_old = {inode for worker in old for inode in _inodes(worker)}
    return not by_old & held.keys() and frozenset(held.values()) >= before.ports


def _held(pid: int, workers: Iterable[ProcessIdentity]) -> dict[int, Port]:
    """The ports that the workers listen on, by the sockets' inodes."""
    inodes = {inode for worker in workers for inode in _inodes(worker)}
    sockets = run_in_network_namespace(pid, lambda: read_sockets(()))
    return {
        one.inode: (one.protocol, one.local_address, one.local_port)
        for one in sockets
        if one.inode in inodes and one.state == "LISTEN"
    }


def _inodes(worker: ProcessIdentity) -> frozenset[int]:
    return frozenset(socket_inodes(worker.pid)) if identity_of(worker.pid) == worker else frozenset()
