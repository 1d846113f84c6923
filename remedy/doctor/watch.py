"""Watching the published ports for a while: docker-proxy's sockets, and the flows that conntrack announces.

Announcements show every connection, however short. IPv6 has none on hosts where no rule asks for its state, and some
hosts have none at all; there what is in TIME-WAIT shows connections that were over between two looks.

Reads only. One look misses whoever connects once an hour; a watch does not, as long as it lasts.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from remedy.doctor.sightings import Key, Names, Sightings
from remedy.facts.flow_events import FlowEvents
from remedy.facts.model import Address, HostFacts, Observed, Watch
from remedy.facts.sockets import read_ended_connections, read_open_connections

# Each look at the sockets walks through the kernel's table of all connections, some 6 ms.
SOCKETS_EVERY_SECONDS = 0.5
WITHOUT_EVENTS_EVERY_SECONDS = 0.2
SAVE_EVERY_SECONDS = 30.0
# TIME-WAIT lasts a minute.
ENDED_EVERY_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 60.0
STRANGER_SECONDS = 0.5
# Announcements are fetched together: waking up for each would cost more than reading it.
_FETCH_EVERY_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Glimpse:
    """How far a watch is."""

    elapsed: float
    total: float
    consumers: int
    connections: int


OnGlimpse = Callable[[Glimpse], None]
Save = Callable[[Observed], None]


class Watcher:
    """One watch. facts: the host as it is now; look_again: reads it anew; save: keeps what came since the last time."""

    def __init__(self, facts: HostFacts, look_again: Callable[[], HostFacts], save: Save) -> None:
        self._boot_id = facts.host.boot_id
        self._look_again, self._save = look_again, save
        self._sightings = Sightings(Names(facts))
        self._events = _listen(facts)
        self._since = datetime.now(UTC)
        self._looked = time.monotonic()
        self._seen: set[Key] = set()
        self._looked_for: set[Address] = set()
        self.was_interrupted = False

    def run(self, seconds: float, on_glimpse: OnGlimpse) -> None:
        """Watch until the time is over or ^C comes; what was seen is saved either way."""
        begun = time.monotonic()
        try:
            self._watch(begun, seconds, on_glimpse)
        except KeyboardInterrupt:
            self.was_interrupted = True
        finally:
            if self._events is not None:
                self._events.close()
            self._keep()

    def _watch(self, begun: float, seconds: float, on_glimpse: OnGlimpse) -> None:
        next_sockets, next_ended, next_save = begun, begun, begun + SAVE_EVERY_SECONDS
        while (now := time.monotonic()) < begun + seconds:
            if now >= next_sockets:
                self._read_sockets()
                next_sockets = time.monotonic() + self._interval
                on_glimpse(Glimpse(now - begun, seconds, self._consumers, self._sightings.connections))
            if now >= next_ended:
                self._read_ended()
                next_ended = now + ENDED_EVERY_SECONDS
            if now >= next_save:
                self._keep()
                next_save = now + SAVE_EVERY_SECONDS
            self._look_around(now)
            self._wait(min(next_sockets, begun + seconds) - time.monotonic())
        self._read_sockets()
        self._read_ended()
        self._read_events()

    @property
    def _interval(self) -> float:
        return WITHOUT_EVENTS_EVERY_SECONDS if self._events is None else SOCKETS_EVERY_SECONDS

    @property
    def _consumers(self) -> int:
        return len(self._seen | self._sightings.keys)

    def _wait(self, seconds: float) -> None:
        if seconds <= 0:
            return
        if self._events is None:
            time.sleep(seconds)
            return
        time.sleep(min(seconds, _FETCH_EVERY_SECONDS))
        select.select([self._events], [], [], max(seconds - _FETCH_EVERY_SECONDS, 0))
        self._read_events()

    def _read_sockets(self) -> None:
        sockets = read_open_connections(self._sightings.names.proxied)
        self._sightings.add_sockets(sockets, datetime.now(UTC), are_announced=self._events is not None)

    def _read_ended(self) -> None:
        families = (socket.AF_INET6,) if self._events is not None else (socket.AF_INET, socket.AF_INET6)
        ended = read_ended_connections(self._sightings.names.proxied, families)
        self._sightings.add_ended(ended, datetime.now(UTC))

    def _read_events(self) -> None:
        if self._events is not None:
            flows = self._events.read(self._sightings.names.ports)
            self._sightings.add_flows(flows.items(), datetime.now(UTC))

    def _look_around(self, now: float) -> None:
        """Containers come and go: look again now and then, and soon when an address has no name."""
        age = now - self._looked
        is_due = age > LOOK_AGAIN_SECONDS
        strangers = self._sightings.strangers - self._looked_for
        if is_due or (strangers and age > STRANGER_SECONDS):
            # Some addresses have no container: each is looked for once in a while, not all the time.
            self._looked_for = set() if is_due else self._looked_for | strangers
            self._sightings.name_again(Names(self._look_again()))
            self._looked = time.monotonic()

    def _keep(self) -> None:
        consumers = self._sightings.take()
        ended = datetime.now(UTC)
        is_complete = self._events is not None and self._events.is_complete
        watch = Watch(begun=self._since, ended=ended, boot_id=self._boot_id, is_complete=is_complete)
        self._seen |= {(c.client, c.to_address, c.to_port, c.protocol) for c in consumers}
        self._save(Observed(watches=(watch,), consumers=consumers))
        self._since = ended


def _listen(facts: HostFacts) -> FlowEvents | None:
    """Conntrack's announcements, where it is loaded: asking would load it."""
    if facts.conntrack.count is None:
        return None
    try:
        return FlowEvents()
    except OSError:
        return None
