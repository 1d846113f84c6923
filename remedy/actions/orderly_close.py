"""Ending other processes' connections in order: each at a moment when nothing is under way on it.

What a change cannot keep alive ends with one FIN between two requests, which every client of a kept-alive
connection must expect anyway, and not in the middle of one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from remedy.facts.processes import find_processes
from remedy.facts.proxies import PROXY_PROGRAM, read_proxies
from remedy.host.borrowed_sockets import BorrowedSocket, borrow, socket_descriptors

# A pause in the middle of a long answer looks like the end of one, so at first only a longer silence counts: this
# many milliseconds in each part of the patience.
SILENCE_MILLISECONDS = (100, 20, 10, 2, 0)
INTERVAL_SECONDS = 0.002
PATIENCE_SECONDS = 1.6


@dataclass(frozen=True, slots=True)
class Closed:
    """closed: connections that ended in order; busy: those that were never quiet."""

    closed: int
    busy: int


Find = Callable[[], Iterable[BorrowedSocket]]


def close_when_quiet(find: Find, *, patience: float = PATIENCE_SECONDS) -> Closed:
    """Close each of the connections when its process has answered and both sides are silent for a moment.

    `find` gives those that are there now; it is asked again until none of them is busy or patience ends.
    """
    began = time.monotonic()
    closed = 0
    while True:
        passed = time.monotonic() - began
        part = int(passed / patience * len(SILENCE_MILLISECONDS))
        silence = SILENCE_MILLISECONDS[min(part, len(SILENCE_MILLISECONDS) - 1)]
        results = [close_if_quiet(connection, silence) for connection in find()]
        closed += results.count(True)
        busy = results.count(False)
        if not busy or passed > patience:
            return Closed(closed, busy)
        time.sleep(INTERVAL_SECONDS)


def close_if_quiet(connection: BorrowedSocket, milliseconds: int) -> bool | None:
    """Close it if it has been silent for so long: True then, False when it is busy, None when it is over anyway."""
    try:
        quiet = connection.quiet()
        if not quiet.is_established:
            return None
        if not quiet.is_answered or quiet.milliseconds < milliseconds:
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
