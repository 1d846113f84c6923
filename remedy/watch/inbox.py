"""What reaches the watcher's loop, from its threads and its signal handlers.

A SimpleQueue: its put may be called by a signal handler while the same thread is within get.
"""

from __future__ import annotations

from dataclasses import dataclass
from queue import SimpleQueue

from remedy.spec.models import Spec
from remedy.watch.deciding import Decided
from remedy.watch.holding import Done, Joining
from remedy.watch.schedule import ContainerChange


@dataclass(frozen=True, slots=True)
class ContainerSeen:
    """A container's event."""

    name: str
    change: ContainerChange


@dataclass(frozen=True, slots=True)
class NetworkSeen:
    """A network's event: "network front: connected"."""

    what: str


@dataclass(frozen=True, slots=True)
class StreamFound:
    """The engine tells its events from now on; what happened before is not known."""


@dataclass(frozen=True, slots=True)
class StreamLost:
    """The engine tells nothing more."""

    why: str


@dataclass(frozen=True, slots=True)
class RulesTouched:
    """The kernel says that nf_tables changed, or that it may have."""


@dataclass(frozen=True, slots=True)
class ReloadSpec:
    """SIGHUP."""


@dataclass(frozen=True, slots=True)
class Looked:
    """The full look at the host is done, or has failed. asked: when the engine was asked for who is decided about."""

    spec: Spec
    asked: float = 0.0
    decided: Decided | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """The networks are made and joined, or not."""

    joining: Joining
    done: Done | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """SIGTERM or ^C."""

    signal: str


Message = ContainerSeen | NetworkSeen | StreamFound | StreamLost | RulesTouched | ReloadSpec | Looked | Joined | Stop
Inbox = SimpleQueue[Message]
