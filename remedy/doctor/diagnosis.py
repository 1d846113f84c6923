"""diagnose(): everything that is wrong with a host, dearest first. A pure function of the facts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from remedy import __version__
from remedy.doctor.firewall import firewall
from remedy.doctor.hints import acquainted
from remedy.doctor.inside import inside
from remedy.doctor.leftovers import leftovers
from remedy.doctor.model import Diagnosis, DoctorHost, Evidence, Finding, ObservedSummary, Seen
from remedy.doctor.needed import proxy_needed
from remedy.doctor.neighbours import neighbours
from remedy.doctor.own_tables import own_tables
from remedy.doctor.patient import Measured, Patient
from remedy.doctor.proxied import proxied_connections
from remedy.doctor.proxy_cost import proxy_cost
from remedy.doctor.settings import settings
from remedy.doctor.tracking import is_nearly_full, tracking
from remedy.doctor.untracked import untracked
from remedy.facts.model import HostFacts
from remedy.paths.published import connections_by_proxy
from remedy.paths.tracked import tracked
from remedy.spec.models import HostPort

Examination = Callable[[Patient], Iterator[Finding]]

# In this order among findings that weigh the same.
EXAMINATIONS: tuple[Examination, ...] = (
    proxied_connections,
    tracking,
    untracked,
    own_tables,
    proxy_cost,
    inside,
    neighbours,
    firewall,
    settings,
    leftovers,
    acquainted,
)
_WEIGHT = {"high": 0, "medium": 1, "low": 2}
_CERTAINTY = {"seen": 0, "likely": 1, "possible": 2}


def diagnose(facts: HostFacts, measured: Measured | None = None) -> Diagnosis:
    """Examine a host. measured: what was measured beside the facts, if anything was."""
    patient = Patient(facts, measured)
    findings = _ordered(patient)
    return Diagnosis(
        remedy_version=__version__,
        host=_host(facts),
        findings=findings,
        proxy_needed=proxy_needed(patient),
        observed=_observed(facts),
        conntrack=tracked(facts),
        not_examined=tuple(Evidence(what=f"{note.item}: {note.reason}") for note in facts.unread),
        next_step=_next_step(findings),
    )


def _ordered(patient: Patient) -> tuple[Finding, ...]:
    found = [finding for examine in EXAMINATIONS for finding in examine(patient)]
    # A table that is full loses traffic at this moment: nothing is dearer. sorted() keeps the order of equals.
    first = ("conntrack-fill", "conntrack-drops") if is_nearly_full(patient) else ()
    return tuple(sorted(found, key=lambda finding: (finding.code not in first, *_weight(finding))))


def _weight(finding: Finding) -> tuple[int, int, int]:
    through_proxy = finding.code == "through-docker-proxy"
    return _WEIGHT[finding.severity], 0 if through_proxy else 1, _CERTAINTY[finding.confidence]


def _host(facts: HostFacts) -> DoctorHost:
    return DoctorHost(
        hostname=facts.host.hostname,
        engine_version=facts.engine.version,
        firewall_backend=facts.firewall.backend,
        userland_proxy=facts.engine.userland_proxy,
        containers=len(facts.containers),
        docker_proxy_processes=len(facts.docker_proxies),
        docker_proxy_connections=connections_by_proxy(facts),
        gathered_at=facts.gathered_at,
    )


def _observed(facts: HostFacts) -> ObservedSummary | None:
    seen = facts.observed
    if seen is None:
        return None
    return ObservedSummary(
        seconds=round(seen.seconds, 1),
        consumers=tuple(
            Seen(
                from_=one.client,
                to=str(HostPort(address=one.to_address, port=one.to_port, protocol=one.protocol)),
                count=one.count,
                first_seen=one.first_seen,
                last_seen=one.last_seen,
            )
            for one in seen.consumers
        ),
        last_ended=max((watch.ended for watch in seen.watches), default=None),
        is_complete=all(watch.is_complete for watch in seen.watches),
    )


def _next_step(findings: tuple[Finding, ...]) -> str:
    if any(finding.spec for finding in findings):
        return "remedy init, which writes a remedy.yaml for this host; then remedy plan, which shows what would change"
    if findings:
        return "mend what is found above by hand, and look again: remedy doctor"
    return "nothing; to see who connects more rarely: remedy doctor --observe 10m"
