"""Who was seen using published ports."""

from __future__ import annotations

from datetime import datetime

from remedy.facts.model.values import Address, Protocol
from remedy.frozen import FrozenWhenUsed as Frozen


class ObservedConsumer(Frozen):
    """Somebody whom `remedy doctor --observe` saw using a published port.

    client: a container's name, `host` or `external`; address: the last one that it came from; count: connections seen.
    """

    client: str
    address: Address | None
    to_address: Address
    to_port: int
    protocol: Protocol
    first_seen: datetime
    last_seen: datetime
    count: int


class Watch(Frozen):
    """A time during which the published ports were watched. is_complete: no event was lost."""

    begun: datetime
    ended: datetime
    boot_id: str
    is_complete: bool = True

    @property
    def seconds(self) -> float:
        """How long it was."""
        return max((self.ended - self.begun).total_seconds(), 0.0)


class Observed(Frozen):
    """What was seen of this host's published ports while somebody watched, and when that was.

    forgotten_seconds: of watches that are too many to be listed one by one.
    """

    watches: tuple[Watch, ...] = ()
    consumers: tuple[ObservedConsumer, ...] = ()
    forgotten_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """How long was watched altogether."""
        return self.forgotten_seconds + sum(watch.seconds for watch in self.watches)
