"""The two clients of the load generator: one request per new connection, and one kept-alive connection.

Both are state machines over a non-blocking socket. They touch the clock and the kernel through `Ground` only.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from dataclasses import dataclass, field
from typing import Protocol

from remedy.bench.load_model import UNANSWERED_SECONDS, Incident, IncidentKind, Vantage, VantageResult

GIVE_UP_SECONDS = 8.0  # SYN retries come after 1, 3 and 7 s: a connection that is still open then is lost
_READ, _WRITE = select.EPOLLIN | select.EPOLLRDHUP, select.EPOLLOUT
_TCP_INFO_SIZE = 104
_TOTAL_RETRANSMITS = struct.Struct("=100xI")  # linux/tcp.h, tcp_info.tcpi_total_retrans


class Ground(Protocol):
    """What the clients stand on: the generator's clock, its sockets and its loop."""

    def now(self) -> float:
        """Monotonic seconds."""

    def stalled(self) -> float:
        """The sum of seconds in which the generator was due to run and did not."""

    def wall(self, moment: float) -> float:
        """A monotonic moment as Unix time."""

    def open(self, vantage: Vantage) -> socket.socket:
        """A non-blocking TCP socket in the vantage point's network namespace."""

    def watch(self, client: Client, events: int) -> None:
        """Call client.ready() when one of these epoll events comes."""

    def forget(self, client: Client) -> None:
        """Do not call it any more."""


class Client(Protocol):
    """One connection, as the loop sees it."""

    socket: socket.socket

    def ready(self, events: int) -> None:
        """The kernel has something to say about the socket."""


@dataclass(slots=True)
class Tally:
    """What one vantage point's clients have counted so far."""

    vantage: Vantage
    most_incidents: int
    connections: int = 0
    answered: int = 0
    counts: dict[IncidentKind, int] = field(default_factory=dict)
    longest: float = 0.0
    keep_alive_requests: int = 0
    keep_alive_longest: float = 0.0
    incidents: list[Incident] = field(default_factory=list)

    def note(self, incident: Incident) -> None:
        """Count it, and remember the first few of each kind with their circumstances."""
        self.counts[incident.kind] = self.counts.get(incident.kind, 0) + 1
        if self.counts[incident.kind] <= self.most_incidents:
            self.incidents.append(incident)

    def result(self) -> VantageResult:
        """The sum of it."""
        count = self.counts.get
        return VantageResult(
            name=self.vantage.name,
            connections=self.connections,
            answered=self.answered,
            refused=count("refused", 0),
            reset=count("reset", 0),
            failed=count("failed", 0),
            wrong=count("wrong", 0),
            late=count("late", 0),
            never=count("never", 0),
            longest_ms=round(self.longest * 1000, 1),
            keep_alive_requests=self.keep_alive_requests,
            keep_alive_closes=count("keep-alive closed", 0),
            keep_alive_failures=sum(
                count(kind, 0)
                for kind in (
                    "keep-alive cut",
                    "keep-alive reset",
                    "keep-alive late",
                    "keep-alive refused",
                    "keep-alive wrong",
                )
            ),
            keep_alive_longest_ms=round(self.keep_alive_longest * 1000, 1),
            incidents=tuple(self.incidents),
        )


@dataclass(slots=True)
class Stopwatch:
    """Time since a beginning, without what the generator itself slept through."""

    ground: Ground
    began: float = 0.0
    stalled: float = 0.0

    def start(self) -> None:
        """Begin now."""
        self.began, self.stalled = self.ground.now(), self.ground.stalled()

    @property
    def seconds(self) -> float:
        """What has passed."""
        return max(0.0, self.ground.now() - self.began - (self.ground.stalled() - self.stalled))

    def incident(self, kind: IncidentKind, sock: socket.socket, detail: str = "") -> Incident:
        """Something that went wrong in what is being timed."""
        return Incident(
            kind=kind,
            at=self.ground.wall(self.began),
            milliseconds=round(self.seconds * 1000, 1),
            retransmits=retransmits(sock),
            detail=detail,
        )


class FreshClient:
    """Connects, asks once, reads the whole answer, closes."""

    def __init__(self, ground: Ground, tally: Tally) -> None:
        self._ground, self._tally = ground, tally
        self._request = request(tally.vantage)
        self._answer = b""
        self.watch = Stopwatch(ground)
        self.is_over = False
        self.socket = ground.open(tally.vantage)

    def start(self) -> None:
        """Connect; the time that counts begins here."""
        self._tally.connections += 1
        self.watch.start()
        number = self.socket.connect_ex((self._tally.vantage.address, self._tally.vantage.port))
        if number not in (0, errno.EINPROGRESS):
            self._end("refused", os.strerror(number))
        else:
            self._ground.watch(self, _WRITE)

    def ready(self, events: int) -> None:  # noqa: ARG002
        """Send when connected, then read."""
        if self._request:
            self._connected()
        else:
            self._read()

    def give_up(self) -> None:
        """Nobody waits any longer."""
        self._end("never", "connecting" if self._request else "connected, no answer")

    def _connected(self) -> None:
        number = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._end("refused", os.strerror(number))
            return
        try:
            self.socket.send(self._request)
        except OSError as error:
            self._end("reset", f"sending: {error.strerror}")
            return
        self._request = b""
        self._ground.watch(self, _READ)

    def _read(self) -> None:
        try:
            piece = self.socket.recv(65536)
        except OSError as error:
            self._end("reset", f"reading: {error.strerror}")
            return
        self._answer += piece
        if is_whole(self._answer):
            self._judge()
        elif not piece:
            self._end("reset", f"closed after {len(self._answer)} bytes of the answer")

    def _judge(self) -> None:
        tally, seconds = self._tally, self.watch.seconds
        if status(self._answer) != "200":
            self._end("failed", f"HTTP {status(self._answer)}")
            return
        if not is_from(self._answer, tally.vantage.expects):
            self._end("wrong", f"answered by {answered_by(self._answer)}")
            return
        tally.answered += 1
        tally.longest = max(tally.longest, seconds)
        self._end("late" if seconds > UNANSWERED_SECONDS else None)

    def _end(self, kind: IncidentKind | None, detail: str = "") -> None:
        if kind is not None:
            self._tally.longest = max(self._tally.longest, self.watch.seconds)
            self._tally.note(self.watch.incident(kind, self.socket, detail))
        self._ground.forget(self)
        self.socket.close()
        self.is_over = True


class KeepAliveClient:
    """Asks again and again over one connection, and connects again when that is closed.

    A close may cross a request on its way: haproxy closes its clients' idle connections when it is reloaded, and a
    client's own when the server has closed the reused one behind it, in both cases without a word, so that the client
    asks again (haproxy/haproxy#1423, #1109). RFC 9110, 9.2.2 lets it, for a GET. So does this one where the vantage
    point says so: once, on a new connection, with the first request's clock running on.
    """

    def __init__(self, ground: Ground, tally: Tally) -> None:
        self._ground, self._tally = ground, tally
        self._request = request(tally.vantage)
        self._answer = b""
        self._watch = Stopwatch(ground)
        self._is_connected = self._is_asking = self._is_resting = self._has_answered = self._is_unheard = False
        self.socket = ground.open(tally.vantage)
        self._watch.start()
        self._connect()

    def ask(self) -> None:
        """Send the next request, if the last one is answered."""
        if self._is_resting:
            self._watch.start()
            self._connect()
            return
        if not self._is_connected or self._is_asking:
            if self._watch.seconds > GIVE_UP_SECONDS:
                self._lost("keep-alive late", "given up")
            return
        if self._is_closed():
            self._lost("keep-alive closed")
            return
        self._tally.keep_alive_requests += 1
        self._watch.start()
        self._send()

    def ready(self, events: int) -> None:  # noqa: ARG002
        """Connected, answered, or closed."""
        if not self._is_connected:
            self._connected()
            return
        try:
            piece = self.socket.recv(65536)
        except OSError as error:
            self._lost("keep-alive cut" if self._is_asking else "keep-alive reset", f"reading: {error.strerror}")
            return
        self._answer += piece
        if self._is_asking and is_whole(self._answer):
            self._judge()
        elif piece:
            return
        elif self._is_asking and self._may_ask_again():
            self._lost("keep-alive closed", "under a request, which is asked again", ask_again=True)
        else:
            self._lost("keep-alive cut" if self._is_asking else "keep-alive closed")

    def close(self) -> None:
        """End it. A request that waits too long at the end counts."""
        if self._is_asking and self._watch.seconds > UNANSWERED_SECONDS:
            self._tally.note(self._watch.incident("keep-alive late", self.socket, "not answered at the end"))
        self._ground.forget(self)
        self.socket.close()

    def _is_closed(self) -> bool:
        """Whether the other side has closed: as clients with a pool of connections look before they use one."""
        try:
            return self.socket.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return False  # nothing to read; or a reset, which sending tells

    def _may_ask_again(self) -> bool:
        """Whether the connection has served before, and gave no byte of this answer."""
        return self._tally.vantage.asks_again and self._has_answered and not self._answer

    def _send(self) -> None:
        self._is_asking, self._answer = True, b""
        try:
            self.socket.send(self._request)
        except OSError as error:
            self._lost("keep-alive reset", f"sending: {error.strerror}")

    def _judge(self) -> None:
        seconds = self._watch.seconds
        self._is_asking, self._has_answered = False, True
        self._tally.keep_alive_longest = max(self._tally.keep_alive_longest, seconds)
        if status(self._answer) != "200":
            self._lost("keep-alive cut", f"HTTP {status(self._answer)}")
        elif not is_from(self._answer, self._tally.vantage.expects):
            self._lost("keep-alive wrong", f"answered by {answered_by(self._answer)}")
        elif seconds > UNANSWERED_SECONDS:
            self._tally.note(self._watch.incident("keep-alive late", self.socket))

    def _connect(self) -> None:
        self._is_connected = self._is_asking = self._is_resting = self._has_answered = False
        self.socket.connect_ex((self._tally.vantage.address, self._tally.vantage.port))
        self._ground.watch(self, _WRITE)

    def _connected(self) -> None:
        number = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._lost("keep-alive refused", os.strerror(number))
            return
        self._is_connected = True
        self._ground.watch(self, _READ)
        if self._is_unheard:
            self._is_unheard = False
            self._send()

    def _lost(self, kind: IncidentKind, detail: str = "", *, ask_again: bool = False) -> None:
        """Note it and connect anew; ask_again: the request goes out at once, and its time runs on."""
        self._tally.note(self._watch.incident(kind, self.socket, detail))
        self._ground.forget(self)
        self.socket.close()
        self.socket = self._ground.open(self._tally.vantage)
        self._is_unheard = ask_again
        if self._has_answered:
            if not ask_again:
                self._watch.start()
            self._connect()
        else:
            self._is_resting = True  # until the next request: nobody is there, and to try at once is to do nothing else


def request(vantage: Vantage) -> bytes:
    """A small GET. The connection is never the server's to close: the one that closes keeps the port in TIME_WAIT.

    Were it the server, then hundreds of connections a second from a few addresses would meet their own past there.
    """
    return f"GET / HTTP/1.1\r\nHost: {vantage.address}\r\n\r\n".encode()


def status(answer: bytes) -> str:
    """The status code of an answer, "?" when it is none."""
    words = answer.split(b"\r\n", 1)[0].split(b" ")
    return words[1].decode("ascii", "replace") if len(words) > 1 and words[0].startswith(b"HTTP/") else "?"


def answered_by(answer: bytes) -> str:
    """The name that a lab container answers with; "" when it tells none."""
    for line in answer.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"x-lab-name":
            return value.strip().decode("ascii", "replace")
    return ""


def is_from(answer: bytes, name: str) -> bool:
    """Whether who answered is who was meant; anybody is where no name is given."""
    return not name or answered_by(answer) == name


def is_whole(answer: bytes) -> bool:
    """Whether head and body (by its Content-Length) are there. A head without a length has no body here."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        return False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return len(body) >= int(value)
    return True


def retransmits(sock: socket.socket) -> int:
    """How many segments the kernel had to send again."""
    try:
        return int(_TOTAL_RETRANSMITS.unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE))[0])
    except (OSError, struct.error):
        return 0
