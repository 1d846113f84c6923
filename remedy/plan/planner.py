"""make_plan: a pure function from (spec, facts) to a plan. No clock, no files, no host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from remedy import __version__
from remedy.facts.model import HostFacts
from remedy.firewall.ruleset import Ruleset
from remedy.paths.consumers import Consumer, known_consumers
from remedy.paths.published import PublishedPort, published_ports
from remedy.paths.walk import Datapath
from remedy.plan.actions import Action
from remedy.plan.basis import basis_of, fingerprint_of
from remedy.plan.conntrack import plan_conntrack
from remedy.plan.hairpin import hairpin_actions, wanted_hairpin
from remedy.plan.lost_consumers import lost_consumers
from remedy.plan.model import PathChange, Plan, PlanHost, PlanWarning, Refusal
from remedy.plan.notrack.bundle import Untracking, plan_notrack
from remedy.plan.outlook import Outlook, each_once, in_safe_order, path_change
from remedy.plan.part import Part
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


def make_plan(spec: Spec, facts: HostFacts, *, spec_digest: str, now: datetime, spec_path: str | None = None) -> Plan:
    """The change that brings the host of `facts` to `spec`. Raises SpecError for names that match nothing.

    spec_path: where that host has the spec, for whom it has to be named; None: in the usual place. What is unsafe
    stands in `refusals`: such a plan is shown and not applied.
    """
    case = _Case.of(spec, facts)
    parts = _Parts.of(case, spec_path)
    outlook = Outlook.of(case.today, parts.actions)
    moved = [None if is_probed(each, spec) else rewiring_of(each, parts.actions) for each in case.consumers]
    led = tuple(zip(case.consumers, moved, strict=True))
    paths = tuple(path_change(consumer, outlook, new) for consumer, new in led)
    staying = [each for each, new in led if new is None or outlook.works_always(each.source, each.to)]
    basis = basis_of(facts)
    return Plan(
        remedy_version=__version__,
        created_at=now,
        host=_host(facts),
        changes=bool(parts.actions),
        actions=parts.actions,
        paths=paths,
        refusals=tuple(dict.fromkeys((*parts.refusals, *lost_consumers(spec, facts, case.consumers, paths)))),
        warnings=tuple(_warnings(case, parts, paths, outlook)),
        probes=merged(known_probes(spec, staying), port_probes(case.ports, outlook)),
        confirm_within_seconds=spec.policy.confirm_within_seconds,
        socket=facts.engine.socket,
        daemon_json_path=facts.daemon_json.path,
        spec_digest=spec_digest,
        basis=basis,
        fingerprint=fingerprint_of(basis),
    )


@dataclass(frozen=True, slots=True)
class _Case:
    """The spec on this host. proxy: the userland proxy to switch to, None where it stays as it is."""

    spec: Spec
    facts: HostFacts
    ports: tuple[PublishedPort, ...]
    selected: Selected
    proxy: bool | None
    hairpin: Ruleset | None
    consumers: tuple[Consumer, ...]
    today: Datapath

    @classmethod
    def of(cls, spec: Spec, facts: HostFacts) -> _Case:
        """Raises SpecError for names that match nothing."""
        ports = published_ports(facts)
        selected = select(spec, facts, ports)
        proxy = _wanted_proxy(spec, facts)
        hairpin = wanted_hairpin(spec, facts, selected, proxy)
        consumers = tuple(known_consumers(facts, spec, ports))
        return cls(spec, facts, ports, selected, proxy, hairpin, consumers, Datapath(facts))


@dataclass(frozen=True, slots=True)
class _Parts:
    """What each remedy comes to. actions: of all of them, in the order of doing."""

    rewiring: Part
    sizing: Part
    notrack: Untracking
    actions: tuple[Action, ...]
    refusals: tuple[Refusal, ...]

    @classmethod
    def of(cls, case: _Case, spec_path: str | None) -> _Parts:
        """Ask each remedy, and put them into an order in which no step loses anybody."""
        spec, facts = case.spec, case.facts
        # First, because who is led elsewhere by it is not cut off by what comes after.
        rewiring = plan_rewiring(spec, facts, case.selected, case.ports, case.today)
        ways = (rewiring, _userland_proxy(case), _hairpin(case))
        ordered = each_once(in_safe_order(case.today, [way.actions for way in ways], case.consumers))
        sizing = plan_conntrack(spec, facts)
        notrack = plan_notrack(spec, facts, case.selected, case.ports, case.consumers, ordered)
        watcher = plan_watcher(spec, facts, spec_path)
        refusals = [refusal for part in (*ways, sizing, notrack, watcher) for refusal in part.refusals]
        if notrack.after and not rewiring.actions and case.proxy is None:
            refusals += unread_refusals(facts)
        # The table's size leads nobody elsewhere: room comes before what may fill it. The watcher follows what is there
        # by then.
        actions = (*sizing.actions, *notrack.before, *ordered, *notrack.after, *watcher.actions)
        return cls(rewiring, sizing, notrack, actions, tuple(refusals))


def _userland_proxy(case: _Case) -> Part:
    if case.proxy is None:
        return Part()
    against = tuple(engine_refusals(case.facts, case.spec))
    if against and case.facts.daemon_json.problem is not None:
        return Part(refusals=against)
    change = ProxyChange(case.facts, case.ports, case.proxy, live_restore_obstacle(case.facts) is None)
    return Part(userland_proxy_actions(change), against)


def _hairpin(case: _Case) -> Part:
    if case.hairpin is None:
        return Part()
    actions = hairpin_actions(case.facts, case.hairpin)
    refusals: list[Refusal] = []
    if actions and case.hairpin.redirects:
        refusals += pinned_refusal(case.spec, case.facts, "hairpin")
    if actions and case.proxy is None:
        refusals += unread_refusals(case.facts)
    return Part(actions, tuple(refusals))


def _warnings(case: _Case, parts: _Parts, paths: tuple[PathChange, ...], outlook: Outlook) -> Iterator[PlanWarning]:
    yield from accept_warnings(case.spec, case.facts)
    yield from unknown_path_warnings(paths)
    for part in (parts.rewiring, parts.sizing, parts.notrack):
        yield from part.warnings
    if case.proxy is False:
        yield from proxy_off_warnings(case.facts, case.ports, paths, outlook)
    if case.proxy is not None:
        yield from file_warnings(case.facts)
    yield from _about_hairpin(case.spec, case.facts, case.hairpin, case.selected)


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
