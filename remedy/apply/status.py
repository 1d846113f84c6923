"""status: what is applied, what waits, and where the host has drifted from what was left."""

from __future__ import annotations

from remedy.apply.drift import drift_from_spec, drift_of_runs
from remedy.apply.lock import lock_is_held
from remedy.apply.model import StatusReport
from remedy.apply.runs import Run, active_run, all_runs
from remedy.apply.settings import Settings
from remedy.facts.model import HostFacts
from remedy.paths.published import connections_by_proxy
from remedy.paths.tracked import tracked
from remedy.paths.untracked import own_tables, untracked_traffic
from remedy.spec.models import Spec


def status_report(facts: HostFacts, spec: Spec | None, settings: Settings) -> StatusReport:
    """The state of this host. Reads the journal; with no run applied, drift is measured against the spec alone."""
    run = active_run(settings)
    traffic = untracked_traffic(facts)
    state, next_step = _state(run, settings)
    is_standing = run is not None and state in ("applied", "pending")
    standing = [one for one in all_runs(settings) if one.state in ("applied", "pending")] if is_standing else []
    drift = [*drift_of_runs(standing, facts)]
    if spec is not None and not drift:
        drift += drift_from_spec(spec, facts)
    return StatusReport(
        state=state,
        run=None if run is None else run.id,
        since=None if run is None else run.started,
        deadline=run.deadline if run is not None and state == "pending" else None,
        drift=tuple(drift),
        docker_proxy_processes=len(facts.docker_proxies),
        docker_proxy_connections=connections_by_proxy(facts),
        userland_proxy=facts.engine.userland_proxy,
        engine_version=facts.engine.version,
        untracked=traffic,
        own_tables=own_tables(facts, traffic),
        next_step=next_step,
        conntrack=tracked(facts),
        watcher=facts.systemd.watcher,
    )


def _state(run: Run | None, settings: Settings) -> tuple[str, str]:
    if run is None:
        return "clean", ""
    if run.state == "pending":
        return "pending", "remedy confirm keeps it, remedy rollback undoes it"
    if run.state == "applied":
        return "applied", ""
    if run.state == "open" and lock_is_held(settings):
        return "interrupted", "a process is at work on this run: wait for it"
    return "interrupted", "remedy rollback"
