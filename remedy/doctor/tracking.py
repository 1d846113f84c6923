"""The conntrack table: how full, by whom, and what it has refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from remedy.doctor.model import Evidence, Finding
from remedy.doctor.patient import Patient
from remedy.host.conntrack_settings import TIME_WAIT
from remedy.plan.conntrack import plan_conntrack
from remedy.plan.conntrack.arithmetic import USUAL_BYTES_PER_ENTRY
from remedy.spec.conntrack import ConntrackOptions
from remedy.spec.models import Remedies, Spec
from remedy.spec.proposed_conntrack import FILLING, measured_rate

# Nearly full: new flows are dropped any moment now.
NEARLY_FULL = 0.95
MANY_ENTRIES = 50_000
_SHOWN = 5
_CURE = (
    "fewer entries: take docker-proxy out (it makes two for each connection), keep connections alive; or conntrack in "
    "remedy.yaml: a larger table, and closed connections that are forgotten sooner"
)


def tracking(patient: Patient) -> Iterator[Finding]:
    """What conntrack costs on this host, and whether it has begun to hurt."""
    yield from _fill_level(patient)
    yield from _table_full_drops(patient)
    yield from _failed_insertions(patient)


def is_nearly_full(patient: Patient) -> bool:
    """Whether new flows are being dropped, or will be with the next burst."""
    known = patient.facts.conntrack
    return bool(known.count and known.maximum and known.count >= NEARLY_FULL * known.maximum)


def _fill_level(patient: Patient) -> Iterator[Finding]:
    known = patient.facts.conntrack
    if not known.count or not known.maximum:
        return
    level = known.count / known.maximum
    if level < FILLING and known.count < MANY_ENTRIES:
        return
    full = level >= NEARLY_FULL
    yield Finding(
        code="conntrack-fill",
        severity=severity_of(level),
        title=f"the conntrack table is {level:.0%} full",
        evidence=(
            Evidence(
                what=f"{known.count} of {known.maximum} entries, about {_bytes(patient) >> 20} MiB",
                where="net.netfilter.nf_conntrack_count, nf_conntrack_max",
            ),
            *_sources(patient),
            *_timeout(patient),
        ),
        consequence="when it is full every new connection of this host is dropped without an answer, ssh too"
        + ("; that is now" if full else ""),
        remedy=_CURE,
        spec=_spec(patient),
        confidence="seen",
    )


def severity_of(level: float) -> Literal["high", "medium", "low"]:
    """Of a conntrack table that is so full (1.0: new connections are dropped)."""
    return "high" if level >= 0.8 else "medium" if level >= FILLING else "low"


def _bytes(patient: Patient) -> int:
    """Of the entries, extensions and hash table not counted."""
    known = patient.facts.conntrack
    each = known.sizing.bytes_per_entry if known.sizing else None
    return (known.count or 0) * (each or USUAL_BYTES_PER_ENTRY)


def _spec(patient: Patient) -> str | None:
    """What would size the table for the connections that end now; None where that cannot be told, or had."""
    rate = measured_rate(patient.facts)
    if rate is None:
        return None
    wanted = Remedies(conntrack=ConntrackOptions(connection_rate=rate))
    plan = plan_conntrack(Spec(version=1, remedies=wanted), patient.facts)
    return f"remedies: {{conntrack: {{connection_rate: {rate}}}}}" if plan.actions and not plan.refusals else None


def _sources(patient: Patient) -> Iterator[Evidence]:
    """The pairs that the entries of published ports come from."""
    pairs: Counter[str] = Counter()
    for entry in patient.facts.conntrack.entries:
        client = patient.client_at(entry.source)
        pairs[f"{client} -> {entry.destination}:{entry.destination_port}/{entry.protocol}"] += entry.count
    if not pairs:
        return
    total = pairs.total()
    yield Evidence(what=f"{total} of them are connections to published ports or their servers", where="conntrack")
    for pair, number in pairs.most_common(_SHOWN):
        yield Evidence(what=f"{number}: {pair}", where="conntrack")


def _timeout(patient: Patient) -> Iterator[Evidence]:
    seconds = patient.facts.sysctls.get(TIME_WAIT)
    if seconds is not None:
        yield Evidence(what=f"a closed connection keeps its entry for {seconds} s", where=TIME_WAIT)


def _table_full_drops(patient: Patient) -> Iterator[Finding]:
    losses = patient.facts.conntrack.losses
    if losses is None or not losses.drop:
        return
    yield Finding(
        code="conntrack-drops",
        severity="high",
        title=f"{losses.drop} new flows were dropped because the conntrack table was full",
        evidence=(
            Evidence(what=f"drop {losses.drop}, early_drop {losses.early_drop}", where="/proc/net/stat/nf_conntrack"),
            *_level(patient),
        ),
        consequence="their clients waited for a second or more, or got no answer at all; it happens again with the "
        "next burst like that",
        remedy=_CURE,
        spec=_spec(patient),
        confidence="seen",
    )


def _failed_insertions(patient: Patient) -> Iterator[Finding]:
    losses = patient.facts.conntrack.losses
    if losses is None or losses.insert_failed < 100:
        return
    yield Finding(
        code="conntrack-insert-failed",
        severity="low",
        title=f"{losses.insert_failed} packets were dropped because their conntrack entry could not be added",
        evidence=(Evidence(what=f"insert_failed {losses.insert_failed}", where="/proc/net/stat/nf_conntrack"),),
        consequence="two flows were given the same translated port at the same moment; a TCP client tries again "
        "after a second, a DNS query is lost",
        remedy="fewer translated connections: keep them alive, and let neighbours use each other's own addresses",
        confidence="seen",
    )


def _level(patient: Patient) -> Iterator[Evidence]:
    known = patient.facts.conntrack
    if known.count is not None and known.maximum is not None:
        yield Evidence(what=f"{known.count} of {known.maximum} entries now", where="net.netfilter.nf_conntrack_count")
