"""One transaction of the watcher: look, decide, and with the host's lock held write what differs, journalled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from remedy.actions.context import ActionContext
from remedy.actions.forget_flows import forget_tracked, forget_unanswered
from remedy.actions.registry import executor_for
from remedy.actions.rules import put_rules, take_rules
from remedy.apply.followed import Present, record_followed
from remedy.apply.lock import WATCHER_PATIENCE_SECONDS
from remedy.apply.settings import Settings
from remedy.apply.watch_journal import WatchJournal
from remedy.errors import EngineError, InputError, RemedyError
from remedy.facts.model import FirewallBackend
from remedy.firewall.forward_guard import forward_guard
from remedy.firewall.names import RULESET_NAMES
from remedy.firewall.ruleset import Ruleset, RulesetName
from remedy.firewall.untracked_pairs import NOTRACK
from remedy.firewall.writer import select_writer
from remedy.plan.actions import (
    Action,
    ConnectNetwork,
    ForgetFlows,
    RemoveRules,
    WriteRules,
)
from remedy.plan.held import as_written_for, held_ruleset, held_rulesets, without_containers
from remedy.plan.model import Refusal
from remedy.spec.models import Spec
from remedy.watch.apart import Apart
from remedy.watch.applied import Applied, AppliedRuns, Seen
from remedy.watch.deciding import Decided
from remedy.watch.engine_socket import list_containers
from remedy.watch.joining import Join
from remedy.watch.metrics.meter import Standing
from remedy.watch.quick_facts import QuickFacts
from remedy.watch.rule_changes import DoneApart, changes_told, needs_no_record, settling, write_actions
from remedy.watch.schedule import Since
from remedy.watch.shared_lock import SharedLock
from remedy.watch.warming_up import warm_up

Warn = Callable[[str], None]
Changes = Callable[[], Since]


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it. actions: a sentence for each; state: why nothing was to be done at all, "" otherwise."""

    actions: tuple[str, ...] = ()
    state: str = ""
    run: str | None = None
    transaction: str | None = None
    again: bool = False  # a run began or ended meanwhile
    joining: Joining | None = None  # what is left to do, in another thread


@dataclass(frozen=True, slots=True)
class Joining:
    """Networks to make and to join, and own tables to keep empty, as part of a run, and why."""

    joins: tuple[Join, ...]
    run: str
    runs: Seen  # that it was decided by
    why: tuple[str, ...]

    @property
    def names(self) -> frozenset[str]:
        """Whose way is about to change."""
        actions = (join.action for join in self.joins)
        return frozenset(m.container for a in actions if isinstance(a, ConnectNetwork) for m in a.members)


class Holding:
    """Holds what is applied on this host."""

    def __init__(self, settings: Settings, warn: Warn) -> None:
        self._settings = replace(settings, lock_timeout_seconds=WATCHER_PATIENCE_SECONDS)
        self._apart = Apart(settings)
        self._lock = SharedLock(self._settings)
        self._warn = warn
        self._journal = WatchJournal(settings.state_dir)
        context = ActionContext.for_host(settings.socket, settings.state_dir)
        self._context = replace(context, owned_rules=replace(context.owned_rules, durable=False))
        self._is_settled = False  # a watcher before this one may have been killed in the middle
        self._is_warm = False
        self._last: Ruleset | None = None  # the pairs that the looks so far have found to be right
        self._refused: set[Refusal] = set()
        self.runs = AppliedRuns(settings)
        self.facts: QuickFacts | None = None  # of the last look

    def prepare(self) -> None:
        """A look comes soon. For another thread."""
        with suppress(RemedyError):  # the look will say so
            self._apart.do("prepare")

    def warm_up(self) -> None:
        """Bring in what transactions need, once, as soon as there is something to hold."""
        written = (action for action in self.runs.read().actions if isinstance(action, WriteRules))
        backend = next((FirewallBackend(action.firewall_backend) for action in written), None)
        if backend is not None and not self._is_warm:
            warm_up(backend)
            self._is_warm = True

    def look(self) -> None:
        """At the host in full. For another thread: it takes as long as a busy engine wants. Raises RemedyError."""
        missing = self._apart.do("look")
        if missing:
            raise EngineError("the host could not be read in full, and nothing is guessed", why="; ".join(missing[:4]))

    def decide(self, spec: Spec) -> Decided:
        """What has to be done, by that look and the engine's list of now. For the same thread. Raises RemedyError."""
        decided: Decided = self._apart.do("decide", spec, self._last)
        return decided

    def sync(self, decided: Decided, why: Sequence[str], since_asked: Changes, since_look: Changes) -> Done:
        """Bring everything that is applied to the containers of now. Raises RemedyError, OSError.

        Who changed since the engine was asked for the decision, and since the look began, is asked just before anything
        is written.
        """
        applied = self.runs.read()
        if applied.state != "applied":
            return Done(state=applied.state)
        if self.runs.seen != decided.runs:
            return Done(again=True)
        wanted, self.facts, self._last = decided.wanted, decided.facts, decided.wanted.known
        self._tell_refusals("tracked as before", wanted.left_tracked)
        self._tell_refusals("the network is not joined", wanted.unjoined)
        self._refused = {*wanted.left_tracked, *wanted.unjoined}
        joining = _joining(applied, decided, why)
        done = self._transaction(applied, partial(self._due, decided, joining, since_asked), decided.present, why)
        if done.again:
            return done
        if not done.actions and joining is None and since_look() == Since():
            self._remember_rules(wanted.rulesets)
        if not done.actions:
            self._settle()
        return replace(done, joining=joining)

    def _due(self, decided: Decided, joining: Joining | None, since_asked: Changes) -> tuple[Action, ...]:
        """What is to be done here, by what is known at this moment."""
        since = since_asked()
        rulesets = {ruleset.name: self._settled(ruleset, since, joining) for ruleset in decided.wanted.rulesets}
        actions = settling(decided.wanted.actions, rulesets)
        due = tuple(action for action in actions if not self._is_written(action))
        return due if any(not isinstance(action, ForgetFlows) for action in due) else ()

    def _settled(self, ruleset: Ruleset, since: Since, joining: Joining | None) -> Ruleset:
        """Who changed meanwhile has the rules that were written for that, or none.

        Of who is to join a network nobody knows yet by which address it will be reached there.
        """
        written = self._context.owned_rules.get(ruleset.name)
        settled = without_containers(as_written_for(ruleset, written, since.answered), since.gone)
        unknown = joining.names if joining is not None and ruleset.name == NOTRACK else frozenset()
        return without_containers(settled, unknown)

    def join(self, joining: Joining) -> Done:
        """Make and join networks. For another thread: a busy engine takes seconds. Raises RemedyError, OSError."""
        with self._lock.hold():
            if self.runs.latest() != joining.runs:
                return Done(again=True)
            try:
                told = tuple(join.action.summary for join in joining.joins)
                identity = self._journal.begin(joining.run, joining.why, told, writes_rules=False)
            except OSError as error:
                raise self._no_record() from error
            try:
                done = tuple(self._apart.do("join", joining.joins))
            except Exception as error:
                self._end(identity, str(error) or type(error).__name__)
                raise
            self._end(identity)
        return Done(done, run=joining.run, transaction=identity)

    def _is_written(self, action: Action) -> bool:
        """Rules that were written while the host was looked at, and stand."""
        if not isinstance(action, WriteRules) or self._context.owned_rules.get(action.ruleset.name) != action.ruleset:
            return False
        backend = FirewallBackend(action.firewall_backend)
        if select_writer(backend).read_differences(action.ruleset):
            return False
        # An accept for speed alone is as it should be behind the engine's rules, too, but then it is to be moved.
        return not (action.ruleset.accept_ahead and forward_guard(backend, action.ruleset).stands_behind())

    def quick(self, spec: Spec, why: Sequence[str], changes: Changes, *, stand: bool = True) -> Done:
        """Bring the rules alone to the containers of now, by the engine's list and the last look for all the rest.

        A busy engine answers nothing else in time: whoever inspects a container waits until it is started or stopped.
        changes: as for `sync`; stand: what was written last is on the host. Raises RemedyError, OSError.
        """
        applied = self.runs.read()
        if applied.state != "applied" or self.facts is None:
            return Done(state=applied.state)
        facts = self.facts.with_listed(list_containers(self._settings.socket))
        rulesets = held_rulesets(spec, facts, applied.actions, self._last)
        due = partial(self._quickly_due, applied, rulesets, changes, stand)
        return self._transaction(applied, due, None, why)

    def _quickly_due(
        self, applied: Applied, rulesets: Sequence[Ruleset], changes: Changes, stand: bool
    ) -> tuple[Action, ...]:
        since = changes()
        actions: list[Action] = []
        for ruleset in rulesets:
            wanted = without_containers(ruleset, since.gone | since.answered)
            written, backend = self._written(applied, ruleset.name)
            is_due = written is not None if wanted.is_empty else written != wanted or not stand
            if backend is not None and is_due:
                actions += write_actions(wanted, written, backend)
        return tuple(actions)

    def drop(self, names: Sequence[str], why: Sequence[str]) -> Done:
        """Take away at once what is pinned to addresses of containers that are gone. Raises RemedyError, OSError."""
        applied = self.runs.read()
        if applied.state != "applied":
            return Done(state=applied.state)
        return self._transaction(applied, partial(self._gone_with, applied, frozenset(names)), None, why)

    def _gone_with(self, applied: Applied, names: frozenset[str]) -> tuple[Action, ...]:
        actions: list[Action] = []
        for name in RULESET_NAMES:
            written, backend = self._written(applied, name)
            if written is None or backend is None:
                continue
            kept = without_containers(written, names)
            if kept is not written:
                actions += write_actions(kept, written, backend)
        return tuple(actions)

    def standing(self) -> Standing:
        """What is applied and held now, for the metrics; from remedy's own records alone."""
        applied = self.runs.read()
        written = [ruleset for name in RULESET_NAMES if (ruleset := self._context.owned_rules.get(name)) is not None]
        return Standing(
            runs=len(applied.runs),
            waiting=applied.waiting is not None,
            redirects=sum(len(ruleset.redirects) for ruleset in written),
            untracked_pairs=sum(len(ruleset.untracked) for ruleset in written),
        )

    def rules_stand(self) -> bool:
        """Whether our own rules are as they were written last; what else is on the host is not looked at."""
        applied = self.runs.read()
        if applied.state != "applied":
            return True
        known = (self._written(applied, name) for name in RULESET_NAMES)
        return not any(
            select_writer(backend).read_differences(written)
            for written, backend in known
            if written is not None and backend is not None
        )

    def _written(self, applied: Applied, name: RulesetName) -> tuple[Ruleset | None, FirewallBackend | None]:
        for action in reversed(applied.actions):
            if isinstance(action, WriteRules) and action.ruleset.name == name:
                if held_ruleset(applied.actions, name) is None:
                    break
                return self._context.owned_rules.get(name), FirewallBackend(action.firewall_backend)
        return None, None

    def _tell_refusals(self, what: str, refusals: tuple[Refusal, ...]) -> None:
        """Once, as long as it is the same."""
        for refusal in refusals:
            if refusal not in self._refused:
                self._warn(f"{what}: {refusal.what}: {refusal.why}. {refusal.cure}")

    def _remember_rules(self, standing: Sequence[Ruleset]) -> None:
        """Rules that stand without their record (the disk was full when they were written) get it now.

        Not while containers change: of who died and came back with the address that it had, the look saw a rule that is
        gone by now, and a record of it would keep it from being written.
        """
        owned = self._context.owned_rules
        for ruleset in standing:
            wanted = None if ruleset.is_empty else ruleset
            if owned.get(ruleset.name) == wanted:
                continue
            with self._lock.hold():
                if self.runs.have_changed():
                    return
                if wanted is None:
                    owned.forget(ruleset.name)
                else:
                    owned.put(wanted)

    def _settle(self) -> None:
        if not self._is_settled:
            with suppress(OSError):
                self._journal.settle()
            self._is_settled = True

    def _transaction(
        self, applied: Applied, due: Callable[[], tuple[Action, ...]], present: Present | None, why: Sequence[str]
    ) -> Done:
        """Do what is due: asked before, so as not to lock for nothing, and again once nobody else is at work."""
        if not due():
            return Done()
        with self._lock.hold():
            if self.runs.have_changed():
                return Done(again=True)
            actions = due()
            if not actions:
                return Done()
            run = applied.run_of(actions[0])
            told = tuple(self._described(action) for action in actions if not isinstance(action, ForgetFlows))
            identity = self._begin(run.id, why, told)
            try:
                for action in actions if identity is not None else filter(needs_no_record, actions):
                    self._act(applied, action, present)
            except Exception as error:
                self._end(identity, str(error) or type(error).__name__)
                raise
            self._end(identity)
        if identity is None and not all(map(needs_no_record, actions)):
            raise self._no_record()
        return Done(told, run=run.id, transaction=identity)

    def _no_record(self) -> RemedyError:
        return InputError(
            "only rules were followed",
            where=str(self._settings.state_dir),
            why="what else is done needs a record for its undo, and none can be written",
            next_step="make room there",
        )

    def _begin(self, run: str, why: Sequence[str], told: Sequence[str]) -> str | None:
        """None when it cannot be written down: then only rules are brought up to date, whose undo needs no record."""
        try:
            return self._journal.begin(run, why, told)
        except OSError as error:
            self._warn(f"the watcher's journal cannot be written ({error.strerror}); rules are followed all the same")
            return None

    def _end(self, identity: str | None, error: str | None = None) -> None:
        if identity is not None:
            with suppress(OSError):
                self._journal.end(identity, error)

    def _act(self, applied: Applied, action: Action, present: Present | None) -> None:
        if isinstance(action, WriteRules | RemoveRules):
            self._follow_rules(action)
        elif isinstance(action, ForgetFlows):
            forget_tracked(action.pairs)
        else:
            executor = executor_for(action, self._context)
            if present is not None:
                record_followed(applied.run_of(action).directory, action, executor.undo_data(), present)
            executor.apply()

    def _follow_rules(self, action: WriteRules | RemoveRules) -> None:
        """At the addresses that were decided by: the engine is not asked once more.

        A wrong rule is worse than one without a record: a full disk does not keep it on the host.
        """
        before = self._context.owned_rules.get(action.ruleset.name)
        backend = FirewallBackend(action.firewall_backend)
        try:
            if isinstance(action, WriteRules):
                put_rules(action.ruleset, backend, self._context)
            else:
                take_rules(action.ruleset, backend, self._context)
        except OSError as error:
            self._warn(f"what remedy wrote last cannot be recorded ({error.strerror})")
            if isinstance(action, WriteRules):
                select_writer(backend).write(action.ruleset)
            else:
                select_writer(backend).remove(action.ruleset.name)
        after = frozenset(action.ruleset.redirects) if isinstance(action, WriteRules) else frozenset()
        if before is not None:
            forget_unanswered([redirect for redirect in before.redirects if redirect not in after])

    def _described(self, action: Action) -> str:
        if isinstance(action, WriteRules | RemoveRules):
            before = self._context.owned_rules.get(action.ruleset.name)
            wanted = action.ruleset if isinstance(action, WriteRules) else None
            return f"{action.summary}: {changes_told(before, wanted)}"
        return action.summary


def _joining(applied: Applied, decided: Decided, why: Sequence[str]) -> Joining | None:
    actions = [action for action in decided.wanted.actions if isinstance(action, DoneApart)]
    joins = tuple(Join(action, applied.run_of(action).directory, decided.present) for action in actions)
    return Joining(joins, applied.run_of(actions[0]).id, decided.runs, tuple(why)) if actions else None
