"""What is due when: events of the engine and of the firewall, put together into as few transactions as needed.

Pure: time is a number of seconds that only grows and that counts while the machine sleeps (CLOCK_BOOTTIME). A clock
that is set does not concern it.

A container's end is answered first, by a write that needs no look at the host: its address may have a new owner a
moment later. Then its start, by the rules alone and from the engine's list, which is answered at once however busy the
engine is. The full look, for all the rest, waits until events have been quiet for a while, so that a burst is one
transaction, but never longer than `longest_wait`; and it leaves as much time as it takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ContainerChange = Literal["started", "was killed", "died", "was renamed", "was removed"]
MOST_REASONS = 12
PERIODIC = "periodic check"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. quiet: without an event before a sync; longest_wait: from the first event to the sync.

    drop_wait: from a container's end to its rules' end; absent: how long the engine may list one as running that has
    ended. quick_wait: from a container's start to its rules; quick_rest: between two such. rest, longest_rest: between
    two syncs, as long as the last one took. look_wait, look_rest: from a change of the firewall to the look at our own
    rules, and between two looks. periodic: between full checks, whatever happens. tick: how often the loop wakes up by
    itself; later by `suspended` than that, it was stopped meanwhile. run_tick: the same while a run is at work, whose
    end is not to be missed. retry: after a sync that failed, doubled up to longest_retry. remembered: how long it is
    known who changed; longer than any answer takes.
    """

    quiet: float = 0.2
    longest_wait: float = 0.6
    drop_wait: float = 0.01
    absent: float = 10.0
    quick_wait: float = 0.03
    quick_rest: float = 0.15
    rest: float = 0.3
    longest_rest: float = 10.0
    look_wait: float = 0.15
    look_rest: float = 1.0
    periodic: float = 300.0
    tick: float = 2.0
    run_tick: float = 0.2
    suspended: float = 5.0
    retry: float = 1.0
    longest_retry: float = 30.0
    remembered: float = 900.0


@dataclass(frozen=True, slots=True)
class Work:
    """What is due now. gone: containers whose rules go at once; started: those whose rules are wanted at once;
    reasons: a full sync, and why; look: at our rules.
    """

    gone: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    look: bool = False

    def __bool__(self) -> bool:
        return bool(self.gone or self.started or self.reasons or self.look)


@dataclass(frozen=True, slots=True)
class Since:
    """Who changed since the engine was asked for its list. gone: whose rules may not stand, by what is known now;
    answered: the others, whose rules were brought up to date meanwhile.
    """

    gone: frozenset[str] = frozenset()
    answered: frozenset[str] = frozenset()


class Schedule:
    """Collects what happens, says when something is due, and hands it out."""

    def __init__(self, now: float, timing: Timing | None = None) -> None:
        self.timing = timing or Timing()
        self._reasons: dict[str, None] = {}
        self._more = 0  # reasons beyond those that are kept
        self._first: float | None = None  # the oldest reason that waits
        self._last = now  # the newest
        self._gone: dict[str, None] = {}
        self._absent: dict[str, tuple[float, ContainerChange]] = {}  # ended and not started since; believed until then
        self._changed: dict[str, float] = {}  # when, of who changed lately
        self._drop_at: float | None = None
        self._started: dict[str, None] = {}
        self._quick_at: float | None = None
        self._quickened = now - self.timing.quick_rest
        self._look_at: float | None = None
        self._looked = now - self.timing.look_rest
        self._synced = now - self.timing.rest
        self._ticked = now
        self._not_before = now
        self._failures = 0
        self.resubscribed_at = now
        self.is_run_at_work = False
        self.is_looking = False  # a full look is at work; what comes meanwhile is for the next one

    def container(self, name: str, change: ContainerChange, now: float) -> None:
        """A container changed."""
        self._changed[name] = now
        if change in ("died", "was killed"):
            self._absent[name] = (now + self.timing.absent, change)
            self._gone[name] = None
            self._drop_at = now + self.timing.drop_wait if self._drop_at is None else self._drop_at
            self._started.pop(name, None)
        elif change == "started":
            self._absent.pop(name, None)
            self._gone.pop(name, None)  # it is back: where, is found by the quick look
            self._drop_at = self._drop_at if self._gone else None
            self._started[name] = None
            if self._quick_at is None:
                self._quick_at = max(now + self.timing.quick_wait, self._quickened + self.timing.quick_rest)
        if change != "was killed":
            self.full(f"{name} {change}", now)

    def full(self, reason: str, now: float) -> None:
        """Everything has to be looked at, for this reason."""
        if reason in self._reasons or len(self._reasons) < MOST_REASONS:
            self._reasons[reason] = None
        else:
            self._more += 1
        self._first = now if self._first is None else self._first
        self._last = now

    def now_or_never(self, reason: str, now: float) -> None:
        """As `full`, and what failed before is no reason to wait: something has changed for the better."""
        self._not_before, self._failures = now, 0
        self.full(reason, now)

    def at_once(self, reason: str, now: float) -> None:
        """The same, and nothing is waited for: until then nobody knows who there is."""
        self.now_or_never(reason, now)
        self._first = now - self.timing.longest_wait

    def rules_touched(self, now: float) -> None:
        """Somebody, perhaps ourselves, changed something in the firewall."""
        if self._look_at is None:
            self._look_at = max(now + self.timing.look_wait, self._looked + self.timing.look_rest)

    def tick(self, now: float) -> None:
        """The loop woke up. Late means that the process, or the machine, was stopped: events may be lost."""
        late = now - self._ticked - self.timing.tick
        if late > self.timing.suspended:
            self.full(f"the watcher did not run for {late:.0f} s", now)
        elif now - self._synced > self.timing.periodic and self._first is None:
            self.full(PERIODIC, now)
        for name in [name for name, (until, _) in self._absent.items() if until < now]:
            _, change = self._absent.pop(name)
            if change == "was killed":
                self.full(f"{name} was killed and did not die", now)
        self._changed = {
            name: moment for name, moment in self._changed.items() if now - moment < self.timing.remembered
        }
        self._ticked = now

    def resubscribed(self, reason: str, now: float) -> None:
        """Events may have been lost, those of a start among them."""
        self._absent.clear()
        self.resubscribed_at = now
        self.now_or_never(reason, now)

    def since(self, asked: float) -> Since:
        """Who does not stand in the engine's list as it was asked for then.

        The list may show as running who has died already: 20.10 tells of it first (seen: 0.7 s on a busy machine). Who
        started since comes next.
        """
        changed = {name for name, moment in self._changed.items() if moment >= asked}
        gone = {*self._gone, *self._absent, *(name for name in self._started if name in changed)}
        return Since(frozenset(gone), frozenset(changed - gone))

    def next_due(self) -> float:
        """When `take` has something, at the latest the next tick."""
        tick = self.timing.run_tick if self.is_run_at_work else self.timing.tick
        due = [self._ticked + tick, self._sync_at, self._drop_at, self._quick_at, self._look_at]
        return min(moment for moment in due if moment is not None)

    def take(self, now: float) -> Work:
        """What is due; it is forgotten here."""
        work = Work(self._take_gone(now), self._take_started(now), self._take_reasons(now))
        if work.reasons:
            self._look_at = None  # a sync looks at everything
        elif self._look_at is not None and self._look_at <= now:
            self._look_at = None
            work = Work(work.gone, work.started, look=True)
        return work

    def looked(self, now: float) -> None:
        """Our rules were looked at."""
        self._looked = now

    def quickened(self, now: float) -> None:
        """The rules were brought up to date by the engine's list."""
        self._quickened = now

    def synced(self, now: float, seconds: float = 0.0) -> None:
        """A full sync ended well, after so many seconds."""
        self._synced, self._failures = now, 0
        self._not_before = now + min(max(self.timing.rest, seconds), self.timing.longest_rest)

    def failed(self, reasons: tuple[str, ...], now: float) -> float:
        """A full sync failed: it is due again, later each time. Return the seconds until then."""
        wait = min(self.timing.retry * 2.0**self._failures, self.timing.longest_retry)
        self._failures += 1
        self._not_before = now + wait
        for reason in reasons:
            self.full(reason, now)
        return wait

    @property
    def _sync_at(self) -> float | None:
        if self._first is None or self.is_looking:
            return None
        settled = min(self._last + self.timing.quiet, self._first + self.timing.longest_wait)
        return max(settled, self._not_before)

    def _take_gone(self, now: float) -> tuple[str, ...]:
        if self._drop_at is None or self._drop_at > now:
            return ()
        gone, self._gone, self._drop_at = tuple(self._gone), {}, None
        return gone

    def _take_started(self, now: float) -> tuple[str, ...]:
        if self._quick_at is None or self._quick_at > now:
            return ()
        started, self._started, self._quick_at = tuple(self._started), {}, None
        return started

    def _take_reasons(self, now: float) -> tuple[str, ...]:
        due = self._sync_at
        if due is None or due > now:
            return ()
        reasons = (*self._reasons, *((f"{self._more} events more",) if self._more else ()))
        self._reasons, self._more, self._first = {}, 0, None
        return reasons
