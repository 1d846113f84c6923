"""How connections travel today and after the plan: the datapath of the facts, and of the facts after the actions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

from remedy.errors import RefusedError
from remedy.facts.model import Address
from remedy.paths.clients import UnknownSourceError
from remedy.paths.consumers import Consumer
from remedy.paths.verdict import Verdict
from remedy.paths.walk import Datapath
from remedy.plan.actions import Action, RewireHaproxy, SwitchUserlandProxy, WriteRules
from remedy.plan.foresight import facts_after, facts_after_each
from remedy.plan.model import PathChange
from remedy.plan.rewiring.moved import destination, rewiring_of
from remedy.spec.models import HostPort

MOST_BUNDLES_TO_ORDER = 4


@dataclass(frozen=True, slots=True)
class Outlook:
    """The host as it is and as it will be."""

    today: Datapath
    later: Datapath

    @classmethod
    def of(cls, today: Datapath, actions: Sequence[Action]) -> Outlook:
        """The same datapath twice where nothing is to be done, or nothing can be (no rule can name a bridge).

        Raises InputError for rules that cannot be read.
        """
        try:
            return cls(today, Datapath(facts_after(today.facts, actions)) if actions else today)
        except RefusedError:
            return cls(today, today)

    def works_always(self, source: str, to: HostPort) -> bool:
        """Whether a connection is made today and after the plan."""
        return all(path.connect(source, to).reachable for path in dict.fromkeys((self.today, self.later)))

    def ends(self, source: str, to: HostPort) -> bool:
        """Whether a connection is made today and would not be after the plan."""
        if self.later is self.today or not self.today.connect(source, to).reachable:
            return False
        return self.later.connect(source, to).reachable is False


def path_change(consumer: Consumer, outlook: Outlook, rewiring: RewireHaproxy | None = None) -> PathChange:
    """One consumer's connection before and after. rewiring: what leads it elsewhere."""
    before, after = _connect(outlook.today, consumer), _connect_later(consumer, outlook.later, rewiring)
    return PathChange(
        from_=consumer.name,
        to=str(consumer.to),
        container=consumer.port.container.name,
        before=before.via,
        after=after.via,
        why=after.unknown_because or _why(after),
        source_before=_source(before, consumer),
        source_after=_source(after, consumer),
        known_by=consumer.known_by,
    )


def in_safe_order(
    today: Datapath, bundles: Sequence[tuple[Action, ...]], consumers: Sequence[Consumer]
) -> tuple[Action, ...]:
    """The bundles of actions one after the other, in the first order in which no step loses a known consumer.

    What belongs to one remedy stays together, because its own order makes before it breaks. Where no order is
    better, they come as they are given.
    """
    wanted = [bundle for bundle in bundles if bundle]
    given = tuple(action for bundle in wanted for action in bundle)
    if not 1 < len(wanted) <= MOST_BUNDLES_TO_ORDER:
        return given
    for order in permutations(wanted):
        actions = tuple(action for bundle in order for action in bundle)
        if not any(True for _ in losses_on_the_way(today, actions, consumers)):
            return actions
    return given


def each_once(actions: Sequence[Action]) -> tuple[Action, ...]:
    """What two remedies both need (hairpin mode, route_localnet) is not done, and undone, twice."""
    found: dict[str, Action] = {}
    for action in actions:
        found.setdefault(action.id, action)
    return tuple(found.values())


def losses_on_the_way(
    today: Datapath, actions: Sequence[Action], consumers: Sequence[Consumer]
) -> Iterator[tuple[Action, Consumer, Verdict]]:
    """Known consumers that work today, and would not in the state that one of the actions leaves."""
    working = [consumer for consumer in consumers if _connect(today, consumer).reachable]
    for action, state in facts_after_each(today.facts, actions):
        if isinstance(action, RewireHaproxy):
            working = [consumer for consumer in working if rewiring_of(consumer, (action,)) is None]
        if action is not actions[-1] and not isinstance(action, SwitchUserlandProxy | WriteRules):
            continue  # files, marks and modes by themselves lead nobody elsewhere
        path = Datapath(state)
        for consumer in working:
            verdict = _connect(path, consumer)
            if verdict.reachable is False:
                yield action, consumer, verdict


def _connect_later(consumer: Consumer, path: Datapath, rewiring: RewireHaproxy | None) -> Verdict:
    elsewhere = None if rewiring is None else destination(rewiring, consumer, path.facts)
    return _connect(path, consumer if elsewhere is None else replace(consumer, to=elsewhere))


def _connect(path: Datapath, consumer: Consumer) -> Verdict:
    address = consumer.client_address if consumer.is_outside else None
    try:
        return path.connect(consumer.source, consumer.to, client_address=address)
    except UnknownSourceError as error:
        return Verdict(
            from_=consumer.name, to=str(consumer.to), reachable=None, via="unknown", unknown_because=error.what
        )


def _why(verdict: Verdict) -> str:
    if verdict.reachable or not verdict.steps:
        return ""
    last = verdict.steps[-1]
    return f"{last.what}, at {last.where}" + (f": {last.why}" if last.why else "")


def _source(verdict: Verdict, consumer: Consumer) -> str | None:
    seen = verdict.source_seen
    if seen is None:
        return None
    if seen in consumer.port.network.gateways:
        return "the gateway"
    if consumer.container is None:
        return "the host's own" if not consumer.is_outside else f"{consumer.name}'s own"
    return f"{consumer.name}'s own" if seen in _addresses(consumer) else str(seen)


def _addresses(consumer: Consumer) -> set[Address]:
    endpoints = consumer.container.endpoints if consumer.container is not None else ()
    return {i.ip for e in endpoints for i in (e.ipv4, e.ipv6) if i is not None}
