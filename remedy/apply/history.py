"""history: the runs that this host has seen."""

from __future__ import annotations

from remedy.apply.lock import lock_is_held
from remedy.apply.model import HistoryEntry, HistoryReport, RunOutcome
from remedy.apply.runs import Run, all_runs, outcome_of
from remedy.apply.settings import Settings
from remedy.apply.watch_journal import Transaction, transactions
from remedy.errors import RemedyError

ENDS = ("committed", "confirmed", "rolled-back", "rollback-incomplete", "failed")


def history_report(settings: Settings) -> HistoryReport:
    """All runs, newest first. A run without an end is `running` while a process holds the lock, else interrupted."""
    runs = all_runs(settings)
    at_work = lock_is_held(settings)
    entries = [_entry(run, at_work) for run in runs]
    entries += [_followed(one, at_work) for one in transactions(settings.state_dir)]
    return HistoryReport(runs=tuple(sorted(entries, key=lambda entry: entry.started, reverse=True)))


def _entry(run: Run, at_work: bool) -> HistoryEntry:
    end = run.last(*ENDS)
    outcome: RunOutcome = outcome_of(run)
    if outcome == "running" and not at_work:
        outcome = "interrupted"
    undone = run.last("rolled-back")
    try:
        summaries = [action.summary for action in run.plan.actions]
    except RemedyError as error:
        summaries = [f"its plan cannot be read: {error.what}"]
    return HistoryEntry(
        run=run.id,
        command="apply",
        started=run.records[0].time,
        ended=None if end is None else end.time,
        result=outcome,
        actions=len(summaries),
        summary="; ".join(summaries),
        rolled_back_by=None if undone is None else str(undone.data.get("command", "apply")),
    )


def _followed(transaction: Transaction, at_work: bool) -> HistoryEntry:
    """A transaction of the watcher's, in one line."""
    outcomes: dict[str | None, RunOutcome] = {"done": "applied", "failed": "failed", "interrupted": "interrupted"}
    unfinished: RunOutcome = "running" if at_work else "interrupted"
    return HistoryEntry(
        run=transaction.id,
        command="watch",
        started=transaction.started,
        ended=transaction.ended,
        result=outcomes.get(transaction.end, unfinished),
        actions=len(transaction.actions),
        summary=f"{'; '.join(transaction.actions)} [{', '.join(transaction.why)}]",
        of_run=transaction.run,
    )
