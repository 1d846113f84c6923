"""The load generator: a program of its own, one thread, one epoll.

    python -m remedy.bench.load       a LoadOrder (JSON, one line) on stdin; "ready"; runs until stdin ends or the
                                      order's limits are reached; a LoadResult (JSON) on stdout

A socket belongs to the network namespace in which it was made, whatever namespace its user is in later. So one
process serves all vantage points at once: it enters a namespace, makes the socket, and goes on. That costs a fifth of
a processor for six vantage points with a new connection every 4 ms each, and leaves the rest to those under test.
"""

from __future__ import annotations

import ctypes
import os
import select
import socket
import sys
import time
from collections import deque

from remedy.bench.clients import GIVE_UP_SECONDS, Client, FreshClient, KeepAliveClient, Tally
from remedy.bench.load_model import LoadOrder, LoadResult, Vantage
from remedy.bench.priority import favour

CLONE_NEWNET = 0x40000000
LAG_SECONDS = 0.005  # a wake-up that is later than this counts as a stall of the generator
DRAIN_SECONDS = 1.5
PRIORITY = -15
MOST_OPEN = 4000


class Namespaces:
    """Makes sockets in other network namespaces."""

    def __init__(self, paths: set[str]) -> None:
        self._descriptors = {path: os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in paths}
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._current = ""

    def open(self, vantage: Vantage) -> socket.socket:
        """A non-blocking TCP socket in the vantage point's namespace. Raises OSError."""
        if vantage.netns != self._current:
            if self._libc.setns(self._descriptors[vantage.netns], CLONE_NEWNET) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), vantage.netns)
            self._current = vantage.netns
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made


class Generator:
    """The loop: starts what is due, serves what is ready, and knows when it was late itself."""

    def __init__(self, order: LoadOrder, control: int) -> None:
        self._order = order
        self._namespaces = Namespaces({vantage.netns for vantage in order.vantages})
        self._epoll = select.epoll()
        self._control = control
        self._epoll.register(control, select.EPOLLIN | select.EPOLLHUP)
        self._clients: dict[int, Client] = {}
        self._fresh: deque[FreshClient] = deque()
        self._wall_offset = time.time() - time.monotonic()
        self._stalled = self._worst_lag = 0.0
        self._skipped = 0
        self._stopping = False
        self._tallies = [Tally(vantage, order.most_incidents) for vantage in order.vantages]

    # --- Ground ------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """See Ground."""
        return time.monotonic()

    def stalled(self) -> float:
        """See Ground."""
        return self._stalled

    def wall(self, moment: float) -> float:
        """See Ground."""
        return moment + self._wall_offset

    def open(self, vantage: Vantage) -> socket.socket:
        """See Ground."""
        return self._namespaces.open(vantage)

    def watch(self, client: Client, events: int) -> None:
        """See Ground."""
        number = client.socket.fileno()
        if number in self._clients:
            self._epoll.modify(number, events)
        else:
            self._clients[number] = client
            self._epoll.register(number, events)

    def forget(self, client: Client) -> None:
        """See Ground."""
        if self._clients.pop(client.socket.fileno(), None) is not None:
            self._epoll.unregister(client.socket.fileno())

    # --- the loop ----------------------------------------------------------------------------------------------

    def run(self) -> LoadResult:
        """Generate load until told to stop, let the last ones finish, and sum up."""
        began = self.now()
        keep_alive = [KeepAliveClient(self, tally) for tally in self._tallies]
        self._generate(keep_alive, began)
        seconds = self.now() - began
        self._drain()
        for client in keep_alive:
            client.close()
        return LoadResult(
            vantages=tuple(tally.result() for tally in self._tallies),
            seconds=round(seconds, 3),
            worst_lag_ms=round(self._worst_lag * 1000, 1),
            stalled_ms=round(self._stalled * 1000, 1),
            skipped=self._skipped,
        )

    def _generate(self, keep_alive: list[KeepAliveClient], began: float) -> None:
        order, count = self._order, len(self._tallies)
        step = order.interval_seconds / count
        every = max(1, round(order.keep_alive_interval_seconds / order.interval_seconds))
        turn, due = 0, began
        while not self._stopping and due - began < order.most_seconds and turn < order.most_connections:
            self._serve(due)
            now = self.now()
            while due <= now:
                self._start(self._tallies[turn % count])
                if turn // count % every == 0:
                    keep_alive[turn % count].ask()
                turn, due = turn + 1, due + step
                if now - due > order.interval_seconds:  # never make up for lost time with a burst
                    missed = int((now - due) / step)
                    self._skipped += missed
                    turn, due = turn + missed, due + missed * step
            self._note_lag(self.now() - now)
            self._give_up(now - GIVE_UP_SECONDS)

    def _start(self, tally: Tally) -> None:
        if len(self._fresh) >= MOST_OPEN:
            self._skipped += 1
            return
        client = FreshClient(self, tally)
        client.start()
        if not client.is_over:
            self._fresh.append(client)

    def _serve(self, until: float) -> None:
        """Wait for events until then, at most, and serve one batch of them."""
        before = self.now()
        timeout = max(0.0, until - before)
        events = self._epoll.poll(timeout)
        now = self.now()
        self._note_lag(now - before - timeout)
        for number, event in events:
            if number == self._control:
                self._stopping = True
                self._epoll.unregister(number)
            elif number in self._clients:
                self._clients[number].ready(event)
        self._note_lag(self.now() - now)

    def _note_lag(self, lag: float) -> None:
        if lag > LAG_SECONDS:
            self._stalled += lag
            self._worst_lag = max(self._worst_lag, lag)

    def _give_up(self, before: float) -> None:
        while self._fresh and (self._fresh[0].is_over or self._fresh[0].watch.began < before):
            client = self._fresh.popleft()
            if not client.is_over:
                client.give_up()

    def _drain(self) -> None:
        deadline = self.now() + DRAIN_SECONDS
        while self.now() < deadline:
            self._give_up(0.0)
            if not self._fresh:
                return
            self._serve(min(deadline, self.now() + 0.05))
        for client in self._fresh:
            if not client.is_over:
                client.give_up()


def main() -> None:
    """Read the order, generate, answer."""
    # Unbuffered: what epoll is asked about must not sit in a buffer of Python's.
    with os.fdopen(0, "rb", buffering=0, closefd=False) as stdin:
        order = LoadOrder.model_validate_json(stdin.readline())
    favour(os.getpid(), PRIORITY)
    generator = Generator(order, 0)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdout.write(generator.run().model_dump_json() + "\n")


if __name__ == "__main__":
    main()
