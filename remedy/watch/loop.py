"""The watcher's loop: messages in, one transaction after the other, and a line for each thing that happened.

It holds nothing over from one turn to the next but what is due: killed and started again, it looks at everything and is
where it was.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

from remedy.apply.journal import utc_now
from remedy.apply.settings import Settings
from remedy.errors import LockHeldError, RemedyError
from remedy.facts.model import FirewallBackend
from remedy.spec.models import Spec
from remedy.watch.apart import done_apart
from remedy.watch.applied import Seen
from remedy.watch.deciding import Decided
from remedy.watch.engine_events import follow_engine
from remedy.watch.firewall_events import follow_firewall
from remedy.watch.holding import Done, Holding, Joining
from remedy.watch.inbox import (
    ContainerSeen,
    Inbox,
    Joined,
    Looked,
    Message,
    NetworkSeen,
    ReloadSpec,
    RulesTouched,
    Stop,
    StreamFound,
    StreamLost,
)
from remedy.watch.metrics.meter import Meter, Standing
from remedy.watch.notify import notify
from remedy.watch.schedule import PERIODIC, Schedule, Since, Work
from remedy.watch.told import Kind, Told

Tell = Callable[[Told], None]

LONGEST_JOIN_SECONDS = 30.0
RULES_CHANGED = "somebody changed remedy's rules"
IDLE = {
    "nothing applied": "nothing is applied on this host: waiting for remedy apply",
    "a run waits": "a run is at work, pending or interrupted: nothing is followed until that is settled",
}


def boottime() -> float:
    """Seconds since the boot, sleep included; nobody can set this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Watch:
    """Follows one host until it is told to stop."""

    def __init__(
        self,
        settings: Settings,
        spec_path: Path,
        tell: Tell,
        meter: Meter | None = None,
        clock: Callable[[], float] = boottime,
    ) -> None:
        """Raises RemedyError: a watcher that does not know what is wanted does not start."""
        self._settings = settings
        self._spec_path = spec_path
        self._spec = self._read_spec()
        self._tell = tell
        self._is_metered = meter is not None
        self._meter = meter or Meter()
        self._clock = clock
        self._schedule = Schedule(clock())
        self._holding = Holding(settings, self.warn)
        self._hears_firewall = False
        self._engine_is_lost = False
        self._complaint = ""
        self._stop: Stop | None = None
        self._runs_noticed: Seen = self._holding.runs.latest()
        self._runs_answered = self._runs_noticed  # by the look that comes first
        self._looked: Looked | None = None
        self._joined: Joined | None = None
        self._joining: threading.Thread | None = None
        self._joining_since = clock()
        self._looking_for: tuple[str, ...] = ()
        self._looking_since = clock()
        self._is_ready = False
        self.inbox: Inbox = SimpleQueue()

    def run(self) -> None:
        """Follow the engine and the firewall until Stop comes."""
        self._hears_firewall = follow_firewall(self.inbox)
        follow_engine(self._settings.socket, self.inbox)
        self._schedule.full("the watcher started", self._clock())
        self._say("started", f"watching {self._settings.socket} for {self._spec_path}")
        while self._stop is None:
            self._hear()
            if self._stop is not None:
                break
            self._tick()
            self._do(self._schedule.take(self._clock()))
            if self._looked is not None:
                self._finish_look(self._looked)
            if self._joined is not None:
                self._finish_join(self._joined)
            notify("WATCHDOG=1")
        notify("STOPPING=1")
        if self._joining is not None:
            self._joining.join(LONGEST_JOIN_SECONDS)
        self._say("stopped", f"stopped by {self._stop.signal}; what is applied stays as it is")

    def warn(self, text: str) -> None:
        """Say what somebody should know."""
        self._say("warning", text)

    def _hear(self) -> None:
        """Wait until something is due, and take what has come meanwhile."""
        is_idle = self._looked is None and self._joined is None
        wait = max(0.0, self._schedule.next_due() - self._clock()) if is_idle else 0.0
        try:
            self._heed(self.inbox.get(timeout=wait))
        except Empty:
            return
        self._heed_all()

    def _heed_all(self) -> None:
        while True:
            try:
                self._heed(self.inbox.get_nowait())
            except Empty:
                return

    def _since(self, asked: float) -> Since:
        """Who changed since the engine was asked, by what has been heard until now."""
        self._heed_all()
        return self._schedule.since(asked)

    def _heed(self, message: Message) -> None:
        now = self._clock()
        match message:
            case Stop():
                self._stop = message
            case Looked():
                self._looked = message
            case Joined():
                self._joined = message
            case ContainerSeen():
                self._schedule.container(message.name, message.change, now)
            case NetworkSeen():
                self._schedule.full(message.what, now)
            case RulesTouched():
                self._schedule.rules_touched(now)
            case StreamFound():
                if self._engine_is_lost:
                    self._say("engine-found", "the engine tells its events again")
                self._engine_is_lost = False
                self._meter.connected(is_connected=True)
                self._schedule.resubscribed("the engine's events are followed", now)
            case StreamLost():
                if not self._engine_is_lost:
                    self._say("engine-lost", f"the engine tells no events: {message.why}")
                self._engine_is_lost = True
                self._meter.connected(is_connected=False)
            case ReloadSpec():
                self._load_spec()
                self._schedule.now_or_never("remedy.yaml was read again", now)

    def _read_spec(self) -> Spec:
        spec: Spec = done_apart("spec", self._settings, self._spec_path)
        return spec

    def _load_spec(self) -> None:
        try:
            self._spec = self._read_spec()
        except (RemedyError, OSError) as error:
            self._meter.failed()
            self._say("spec-invalid", f"remedy.yaml was not taken, the one from before stays in force: {error}")
        else:
            self._say("spec-loaded", f"{self._spec_path} is in force")

    def _tick(self) -> None:
        now = self._clock()
        self._schedule.tick(now)
        self._look_at_runs(now)
        if not self._hears_firewall or self._is_legacy:
            self._schedule.rules_touched(now)

    def _look_at_runs(self, now: float) -> None:
        """A run writes many records: they are read once it writes none for a moment."""
        before, self._runs_noticed = self._runs_noticed, self._holding.runs.latest()
        if self._runs_noticed == self._runs_answered:
            return
        self._schedule.is_run_at_work = True
        if self._runs_noticed == before:
            self._runs_answered = before
            self._schedule.at_once("a run of remedy began or ended", now)

    @property
    def _is_legacy(self) -> bool:
        """iptables-legacy tells nobody that it changed."""
        facts = self._holding.facts
        return facts is not None and facts.backend is FirewallBackend.IPTABLES_LEGACY

    def _do(self, work: Work) -> None:
        if work.gone:
            self._attempt(_each(work.gone, "died"), lambda: self._drop(work.gone))
        if work.started:
            self._attempt(_each(work.started, "started"), lambda: self._quick(work.started, "started"))
        if work.look:
            self._attempt((), self._look)
        if work.reasons:
            self._attempt(work.reasons, lambda: self._start_look(work.reasons))

    def _attempt(self, reasons: Sequence[str], act: Callable[[], None]) -> None:
        """Whatever goes wrong, the watcher goes on: the next sync finds out what is still to be done."""
        try:
            act()
        except LockHeldError as error:
            self._retry(reasons, f"{error.what}: {error.why}")
        except Exception as error:
            self._retry(reasons, str(error) or type(error).__name__)

    def _retry(self, reasons: Sequence[str], why: str) -> None:
        self._meter.failed()
        wait = self._schedule.failed(tuple(reasons) or ("what failed",), self._clock())
        if why != self._complaint:  # an engine that is down for an hour is one line
            self._say("failed", f"not followed, tried again in {wait:.0f} s: {' '.join(why.split())}", reasons)
        self._complaint = why

    def _drop(self, names: tuple[str, ...]) -> None:
        began = self._clock()
        why = _each(names, "died")
        done = self._holding.drop(names, why)
        if done.actions:
            self._tell_done(done, why, began)

    def _quick(self, names: tuple[str, ...], change: str) -> None:
        began = self._clock()
        why = _each(names, change)
        done = self._holding.quick(self._spec, why, partial(self._since, began))
        self._schedule.quickened(self._clock())
        if done.actions:
            self._tell_done(done, why, began)

    def _look(self) -> None:
        stand = self._holding.rules_stand()
        now = self._clock()
        self._schedule.looked(now)
        if not stand:
            self._schedule.now_or_never(RULES_CHANGED, now)
            self._write_again()

    def _write_again(self) -> None:
        began = self._clock()
        done = self._holding.quick(self._spec, (RULES_CHANGED,), partial(self._since, began), stand=False)
        if done.actions:
            self._tell_done(done, (RULES_CHANGED,), began)

    def _start_look(self, reasons: tuple[str, ...]) -> None:
        """Look at the host in a thread: a busy engine may take a minute, and rules of the dead must not wait for it."""
        state = self._holding.runs.read().state
        self._schedule.is_run_at_work = state == "a run waits"
        if state != "applied":
            self._schedule.synced(self._clock())
            self._meter.standing(self._standing())
            self._complain(state)
            self._be_ready()
            if state == "a run waits" and reasons != (PERIODIC,):
                # The containers that start once it has ended are not known before that look.
                threading.Thread(target=self._holding.prepare, name="remedy-prepare", daemon=True).start()
            return
        self._looking_for, self._looking_since = reasons, self._clock()
        threading.Thread(target=self._look_around, name="remedy-look", daemon=True).start()
        self._schedule.is_looking = True
        self._holding.warm_up()  # while the thread waits for the process apart

    def _look_around(self) -> None:
        spec = self._spec
        try:
            self._holding.look()
            asked = self._clock()
            self.inbox.put(Looked(spec, asked, self._holding.decide(spec)))
        except Exception as error:
            self.inbox.put(Looked(spec, error=error))

    def _finish_look(self, looked: Looked) -> None:
        self._looked, self._schedule.is_looking = None, False
        reasons = self._looking_for
        if looked.decided is None:
            self._retry(reasons, str(looked.error) or type(looked.error).__name__)
        elif looked.spec is not self._spec:
            self._schedule.full("remedy.yaml was read again", self._clock())
        elif self._schedule.resubscribed_at >= looked.asked:
            self._schedule.full("the engine's events were lost while it was looked at", self._clock())
        else:
            decided = looked.decided
            self._attempt(reasons, lambda: self._sync(reasons, decided, looked.asked))
        if not self._schedule.is_looking:
            self._be_ready()

    def _sync(self, reasons: tuple[str, ...], decided: Decided, asked: float) -> None:
        done = self._holding.sync(
            decided, reasons, partial(self._since, asked), partial(self._since, self._looking_since)
        )
        self._schedule.is_run_at_work = done.state == "a run waits"
        if done.joining is not None:
            if done.actions:
                self._tell_done(done, reasons, self._looking_since)
            self._start_join(done.joining)
            return
        now = self._synced()
        if done.again:
            self._schedule.full("a run of remedy began or ended", now)
        elif done.state:
            self._complain(done.state)
        else:
            self._complaint = ""
            self._meter.synced(now - self._looking_since)
            if done.actions or reasons != (PERIODIC,):
                self._tell_done(done, reasons, self._looking_since)

    def _synced(self) -> float:
        """Return the moment."""
        now = self._clock()
        self._schedule.synced(now, now - self._looking_since)
        self._meter.standing(self._standing())
        return now

    def _start_join(self, joining: Joining) -> None:
        """In a thread, as the look; the next one waits for it."""
        self._joining_since = self._clock()
        self._joining = threading.Thread(target=self._join, args=(joining,), name="remedy-join", daemon=True)
        self._joining.start()
        self._schedule.is_looking = True

    def _join(self, joining: Joining) -> None:
        try:
            self.inbox.put(Joined(joining, self._holding.join(joining)))
        except Exception as error:
            self.inbox.put(Joined(joining, error=error))

    def _finish_join(self, joined: Joined) -> None:
        """Who has joined is followed by name at once; what else there is to do, the next look finds."""
        self._joined, self._schedule.is_looking = None, False
        joining, since = joined.joining, self._since(self._joining_since)
        if joined.done is not None:
            now = self._synced()
            if joining.names or joined.done.again:
                self._schedule.full("networks were joined", now)
            self._complaint = ""
            if joined.done.actions:
                self._tell_done(joined.done, joining.why, self._joining_since)
            if joined.done.actions and joining.names:
                self._attempt(joining.why, lambda: self._quick(tuple(sorted(joining.names)), "joined"))
        elif joining.names & (since.gone | since.answered):
            # Somebody who was to join has ended or is another one by now: that is no failure to wait after.
            self._schedule.full("containers changed while they joined", self._synced())
        else:
            self._retry(joining.why, str(joined.error) or type(joined.error).__name__)
        self._be_ready()

    def _standing(self) -> Standing:
        """For the metrics, where they are wanted; no transaction fails for them."""
        if not self._is_metered:
            return self._meter.activity.standing
        try:
            return self._holding.standing()
        except (RemedyError, OSError):
            return self._meter.activity.standing

    def _be_ready(self) -> None:
        """Once everything was looked at, or could not be: who is ordered after the watcher meets the right rules."""
        if not self._is_ready:
            notify("READY=1")
        self._is_ready = True

    def _complain(self, state: str) -> None:
        if state != self._complaint:
            self._say("idle", IDLE[state])
        self._complaint = state

    def _tell_done(self, done: Done, why: tuple[str, ...], began: float) -> None:
        if done.actions:
            self._meter.followed(self._standing())
        text = "; ".join(done.actions) if done.actions else "everything is as it should be"
        self._tell(
            Told(
                time=utc_now(),
                event="followed" if done.actions else "checked",
                text=text,
                why=why,
                actions=done.actions,
                run=done.run,
                transaction=done.transaction,
                seconds=round(self._clock() - began, 3),
            )
        )

    def _say(self, event: Kind, text: str, why: Sequence[str] = ()) -> None:
        self._tell(Told(time=utc_now(), event=event, text=text, why=tuple(why)))


def _each(names: Sequence[str], change: str) -> tuple[str, ...]:
    return tuple(f"{name} {change}" for name in names)
