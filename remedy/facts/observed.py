"""What was seen while somebody watched the published ports: the file of it, and how two of them become one.

The file lies in remedy's state directory. Whoever connects once an hour is missed by a single look; what a watch saw
is kept for the planner.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from remedy.errors import InputError
from remedy.facts.model import HostFacts, Observed, ObservedConsumer, Unread, Watch
from remedy.frozen import Frozen
from remedy.host.files import read_without_following

FILE_NAME = "observed.json"
ITEM = "observed consumers"
# A consumer is a client and a port, not a connection: more than these is no host but an attack.
MOST_CONSUMERS = 5_000
MOST_WATCHES = 200

_Key = tuple[str, str, int, str]


class ObservedFile(Frozen):
    """The file: whose host it is (an image that was copied has other consumers), and what was seen."""

    format_version: int = 1
    machine_id: str
    observed: Observed


def load_observed(state_directory: Path, machine_id: str) -> Observed | None:
    """What was seen on this host; None when nobody has watched. Raises InputError, OSError."""
    path = state_directory / FILE_NAME
    raw = read_without_following(path)
    if raw is None:
        return None
    try:
        content = ObservedFile.model_validate_json(raw)
    except ValidationError as error:
        raise InputError(
            "what was observed cannot be read",
            where=str(path),
            why=str(error.errors(include_url=False, include_input=False)[0]["msg"]),
            next_step="remove the file, and watch again: remedy doctor --observe 10m",
        ) from error
    return content.observed if content.machine_id == machine_id else None


def with_observed(facts: HostFacts, state_directory: Path) -> HostFacts:
    """The facts with what was seen before. What cannot be read is noted as such. Never raises."""
    try:
        observed = load_observed(state_directory, facts.host.machine_id)
    except (InputError, OSError) as error:
        note = Unread(item=ITEM, reason=getattr(error, "why", None) or getattr(error, "strerror", None) or str(error))
        return facts.model_copy(update={"unread": (*facts.unread, note)})
    return facts if observed is None else facts.model_copy(update={"observed": observed})


def merged(old: Observed | None, new: Observed) -> Observed:
    """Both together: counts added, first and last times kept, bounded."""
    if old is None:
        return _bounded(new)
    consumers = {_key(consumer): consumer for consumer in old.consumers}
    for consumer in new.consumers:
        known = consumers.get(_key(consumer))
        consumers[_key(consumer)] = consumer if known is None else _both(known, consumer)
    return _bounded(
        Observed(
            watches=(*old.watches, *new.watches),
            consumers=tuple(consumers.values()),
            forgotten_seconds=old.forgotten_seconds + new.forgotten_seconds,
        )
    )


def _key(consumer: ObservedConsumer) -> _Key:
    return consumer.client, str(consumer.to_address), consumer.to_port, consumer.protocol


def _both(old: ObservedConsumer, new: ObservedConsumer) -> ObservedConsumer:
    return new.model_copy(
        update={
            "first_seen": min(old.first_seen, new.first_seen),
            "last_seen": max(old.last_seen, new.last_seen),
            "count": old.count + new.count,
        }
    )


def _bounded(observed: Observed) -> Observed:
    watches = _joined(observed.watches)
    gone, kept = watches[:-MOST_WATCHES], watches[-MOST_WATCHES:]
    newest = sorted(observed.consumers, key=lambda consumer: consumer.last_seen, reverse=True)[:MOST_CONSUMERS]
    return Observed(
        watches=tuple(kept),
        consumers=tuple(sorted(newest, key=_key)),
        forgotten_seconds=observed.forgotten_seconds + sum(watch.seconds for watch in gone),
    )


def _joined(watches: tuple[Watch, ...]) -> list[Watch]:
    """Watches of one boot that follow upon each other, or overlap, are one: time counts once."""
    joined: list[Watch] = []
    for watch in sorted(watches, key=lambda one: one.begun):
        last = joined[-1] if joined else None
        if last is None or last.boot_id != watch.boot_id or watch.begun > last.ended:
            joined.append(watch)
            continue
        both = {"ended": max(last.ended, watch.ended), "is_complete": last.is_complete and watch.is_complete}
        joined[-1] = last.model_copy(update=both)
    return joined
