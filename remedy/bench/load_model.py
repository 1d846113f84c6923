"""What the load generator is told, and what it answers: models that cross from process to process as JSON."""

from __future__ import annotations

from typing import Literal

from remedy.frozen import Frozen

UNANSWERED_SECONDS = 0.2  # the promise: no new connection waits longer for its answer

IncidentKind = Literal[
    "refused",  # connect() was refused or the network said unreachable
    "reset",  # the connection was made and broken before the whole answer
    "failed",  # answered, and not with 200
    "wrong",  # answered by another than the one that is expected
    "late",  # answered after more than UNANSWERED_SECONDS
    "never",  # no answer at all before the generator gave up
    "keep-alive closed",  # an orderly close (FIN) between two requests, or crossing one that is asked again
    "keep-alive cut",  # a close or reset in the middle of a request
    "keep-alive reset",  # a reset between two requests
    "keep-alive late",
    "keep-alive refused",  # it could not connect again
    "keep-alive wrong",
]


class Vantage(Frozen):
    """From where to where: connections to `address`:`port` made in the network namespace `netns` (a path).

    expects: the name with which whoever is meant answers (X-Lab-Name); "" when nobody asks who it was.
    asks_again: a close that crosses a request on a kept-alive connection is a close, and the request is asked again;
    for those whose other end is haproxy (see KeepAliveClient). Elsewhere it is a request cut.
    """

    name: str
    netns: str
    address: str
    port: int
    expects: str = ""
    asks_again: bool = False


class LoadOrder(Frozen):
    """What to do. The limits bound it when nobody tells it to stop.

    most_incidents: how many of each kind are told with their circumstances, from each vantage point.
    """

    vantages: tuple[Vantage, ...]
    interval_seconds: float = 0.004
    keep_alive_interval_seconds: float = 0.02
    most_seconds: float = 120.0
    most_connections: int = 200_000
    most_incidents: int = 40


class Incident(Frozen):
    """One thing that went wrong. at: Unix time of its beginning, to be laid beside the engine's journal.

    retransmits: how often the kernel sent a segment again; 0 with a late answer means that somebody was slow,
    more that a packet was dropped on the way.
    """

    kind: IncidentKind
    at: float
    milliseconds: float
    retransmits: int = 0
    detail: str = ""


class VantageResult(Frozen):
    """What the connections of one vantage point met. Every number but the sums counts connections.

    late and longest_ms are without the time in which the generator itself did not run.
    """

    name: str
    connections: int
    answered: int
    refused: int
    reset: int
    failed: int
    wrong: int = 0
    late: int
    never: int
    longest_ms: float
    keep_alive_requests: int
    keep_alive_closes: int
    keep_alive_failures: int
    keep_alive_longest_ms: float
    incidents: tuple[Incident, ...] = ()

    @property
    def unanswered(self) -> int:
        """New connections without an answer for UNANSWERED_SECONDS."""
        return self.late + self.never

    @property
    def lost(self) -> int:
        """New connections that did not get their answer, or got it too late."""
        return self.refused + self.reset + self.failed + self.wrong + self.unanswered


class LoadResult(Frozen):
    """The results of all vantage points, and how well the generator itself ran.

    worst_lag_ms: the longest time in which it was due to run and did not; skipped: connections that it did not
    make because of that; stalled_ms: the sum of such times.
    """

    vantages: tuple[VantageResult, ...]
    seconds: float
    worst_lag_ms: float
    stalled_ms: float
    skipped: int
