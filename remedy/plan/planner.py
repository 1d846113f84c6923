"""make_plan: a pure function from (spec, facts) to a plan. No clock, no files, no host."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from remedy import __version__
from remedy.facts.model import HostFacts
from remedy.firewall.ruleset import Ruleset
from remedy.paths.consumers import known_consumers
from remedy.paths.published import published_ports
from remedy.paths.walk import Datapath
from remedy.plan.basis import basis_of, fingerprint_of
from remedy.plan.conntrack import plan_conntrack
from remedy.plan.hairpin import hairpin_actions, wanted_hairpin
from remedy.plan.lost_consumers import lost_consumers
from remedy.plan.model import Action, Plan, PlanHost, PlanWarning, Refusal
from remedy.plan.notrack import plan_notrack
from remedy.plan.outlook import Outlook, each_once, in_safe_order, path_change
from remedy.plan.probes import known_probes, merged, port_probes
from remedy.plan.refusals import (
    engine_refusals,
    live_restore_obstacle,
    pinned_refusal,
    proxy_is_configured,
    unread_refusals,
)
from remedy.plan.rewiring.bundle import plan_rewiring
from remedy.plan.rewiring.moved import is_probed, rewiring_of
from remedy.plan.selection import Selected, select
from remedy.plan.userland_proxy import ProxyChange, userland_proxy_actions
from remedy.plan.warnings import accept_warnings, file_warnings, proxy_off_warnings, unknown_path_warnings
from remedy.plan.watcher import plan_watcher
from remedy.spec.models import Spec

DURATION_SECONDS = {"s": 1, "m": 60, "h": 3600}


def make_plan(spec: Spec, facts: HostFacts, *, spec_digest: str, now: datetime, spec_path: str | None = None) -> Plan:
    """The change that brings the host of `facts` to `spec`. Raises SpecError for names that match nothing.

    spec_path: where that host has the spec, for whom it has to be named; None: in the usual place. What is unsafe
    stands in `refusals`: such a plan is shown and not applied.
    """
    ports = published_ports(facts)
    selected = select(spec, facts, ports)
    wants_proxy = _wanted_proxy(spec, facts)
    hairpin = wanted_hairpin(spec, facts, selected, wants_proxy)
    consumers = known_consumers(facts, spec, ports)
    today = Datapath(facts)
    # First, because who is led elsewhere by it is not cut off by what comes after.
    rewiring = plan_rewiring(spec, facts, selected, ports, today)
    bundles: list[tuple[Action, ...]] = [rewiring.actions]
    refusals: list[Refusal] = [*rewiring.refusals]
    if wants_proxy is not None:
        against = tuple(engine_refusals(facts, spec))
        refusals += against
        if not against or facts.daemon_json.problem is None:
            change = ProxyChange(facts, ports, wants_proxy, live_restore_obstacle(facts) is None)
            bundles.append(userland_proxy_actions(change))
    if hairpin is not None:
        own = hairpin_actions(facts, hairpin)
        if own and hairpin.redirects:
            refusals += pinned_refusal(spec, facts, "hairpin")
        if own and wants_proxy is None:
            refusals += unread_refusals(facts)
        bundles.append(own)
    sizing = plan_conntrack(spec, facts)
    refusals += sizing.refusals
    actions = each_once(in_safe_order(today, bundles, consumers))
    notrack = plan_notrack(spec, facts, selected, ports, consumers, actions)
    # The table's size leads nobody elsewhere; room comes before what may fill it.
    actions = (*sizing.actions, *notrack.before, *actions, *notrack.after)
    refusals += notrack.refusals
    watcher, against_watcher = plan_watcher(spec, facts, spec_path)
    actions = (*actions, *watcher)  # last: it follows what is there by then
    refusals += against_watcher
    if notrack.after and not rewiring.actions and wants_proxy is None:
        refusals += unread_refusals(facts)
    outlook = Outlook.of(today, actions)
    moved = [None if is_probed(consumer, spec) else rewiring_of(consumer, actions) for consumer in consumers]
    paths = tuple(path_change(consumer, outlook, new) for consumer, new in zip(consumers, moved, strict=True))
    refusals += lost_consumers(spec, facts, consumers, paths)
    warnings = [*accept_warnings(spec, facts), *unknown_path_warnings(paths), *rewiring.warnings]
    warnings += [*sizing.warnings, *notrack.warnings]
    if wants_proxy is False:
        warnings += proxy_off_warnings(facts, ports, paths, outlook)
    if wants_proxy is not None:
        warnings += file_warnings(facts)
    warnings += _about_hairpin(spec, facts, hairpin, selected)
    staying = [
        c for c, new in zip(consumers, moved, strict=True) if new is None or outlook.works_always(c.source, c.to)
    ]
    basis = basis_of(facts)
    return Plan(
        remedy_version=__version__,
        created_at=now,
        host=_host(facts),
        changes=bool(actions),
        actions=actions,
        paths=paths,
        refusals=tuple(dict.fromkeys(refusals)),
        warnings=tuple(warnings),
        probes=merged(known_probes(spec, staying), port_probes(ports, outlook)),
        confirm_within_seconds=_seconds(spec.policy.confirm_within),
        socket=facts.engine.socket,
        daemon_json_path=facts.daemon_json.path,
        spec_digest=spec_digest,
        basis=basis,
        fingerprint=fingerprint_of(basis),
    )


def _wanted_proxy(spec: Spec, facts: HostFacts) -> bool | None:
    """The userland proxy to switch to; None when the spec is silent or the host has it, now and at next start."""
    wanted = spec.remedies.userland_proxy
    if wanted is None or (facts.engine.userland_proxy is wanted and proxy_is_configured(facts) is wanted):
        return None
    return wanted


def _about_hairpin(spec: Spec, facts: HostFacts, hairpin: Ruleset | None, selected: Selected) -> Iterator[PlanWarning]:
    if spec.remedies.hairpin_options is None or hairpin is None or hairpin.redirects:
        return
    if spec.remedies.userland_proxy is False or facts.engine.userland_proxy is False:
        yield PlanWarning(
            code="hairpin-not-needed",
            what="hairpin adds nothing while the userland proxy is off",
            detail="the engine's own rules serve these paths; leave hairpin out of the spec",
        )
    elif not selected.backend_ports:
        yield PlanWarning(
            code="hairpin-without-ports",
            what="no backend of the spec publishes a port, so there is nothing to redirect",
            detail="hairpin covers the published ports of `backends`",
        )


def _host(facts: HostFacts) -> PlanHost:
    return PlanHost(
        hostname=facts.host.hostname,
        machine_id=facts.host.machine_id,
        engine_version=facts.engine.version,
        firewall_backend=facts.firewall.backend,
        userland_proxy=facts.engine.userland_proxy,
        containers=len(facts.containers),
        docker_proxy_processes=len(facts.docker_proxies),
    )


def _seconds(duration: str | None) -> int | None:
    return None if duration is None else int(duration[:-1]) * DURATION_SECONDS[duration[-1]]
