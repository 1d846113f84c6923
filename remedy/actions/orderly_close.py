"""Ending other processes' connections in order: each at a moment when nothing is under way on it.

What a change cannot keep alive ends with one FIN between two requests, which every client of a kept-alive
connection must expect anyway, and not in the middle of one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from remedy.actions.quiet_moment import is_the_moment
from remedy.facts.processes import find_processes
from remedy.facts.proxies import PROXY_PROGRAM, read_proxies
from remedy.host.borrowed_sockets import BorrowedSocket, borrow, socket_descriptors

INTERVAL_SECONDS = 0.002
PATIENCE_SECONDS = 1.6


@dataclass(frozen=True, slots=True)
class Closed:
    """closed: connections that ended in order; busy: those that were never quiet."""

    closed: int
    busy: int


Ends = tuple[tuple[str, int], tuple[str, int]]
Find = Callable[[], Iterable[BorrowedSocket]]


def close_when_quiet(find: Find, *, patience: float = PATIENCE_SECONDS) -> Closed:
    """Close each of the connections when its process has answered and both sides are silent for a moment.

    `find` gives those that are there now; it is asked again until none of them is busy or patience ends.
    """
    began = time.monotonic()
    rhythms: dict[Ends, int] = {}
    closed = 0
    while True:
        passed = time.monotonic() - began
        results = [_close_in_time(connection, rhythms, passed / patience) for connection in find()]
        closed += results.count(True)
        busy = results.count(False)
        if not busy or passed > patience:
            return Closed(closed, busy)
        time.sleep(INTERVAL_SECONDS)


def _close_in_time(connection: BorrowedSocket, rhythms: dict[Ends, int], share: float) -> bool | None:
    """Close it if this is the moment: True then, False when it is not, None when it is over anyway."""
    try:
        quiet = connection.quiet()
        if not quiet.is_established:
            return None
        if not quiet.is_answered:
            return False
        ends = connection.local, connection.remote
        rhythms[ends] = longest = max(rhythms.get(ends, 0), quiet.milliseconds)
        if not is_the_moment(quiet, longest, share):
            return False
        connection.close_orderly()
    except OSError:
        return None
    return True


def proxied_connections(engine_pid: int | None) -> Iterator[BorrowedSocket]:
    """Give the clients' ends of all TCP connections that the docker-proxies of an engine hold."""
    for proxy in read_proxies(find_processes([PROXY_PROGRAM]), engine_pid):
        for _, connection in borrow(proxy.pid, socket_descriptors(proxy.pid)):
            with suppress(OSError):
                if connection.local[1] == proxy.host_port:
                    yield connection
