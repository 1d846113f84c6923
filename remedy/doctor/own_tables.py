"""The containers' own conntrack tables, which nothing on the host shows."""

from __future__ import annotations

from collections.abc import Iterator

from remedy.doctor.model import Evidence, Finding
from remedy.doctor.patient import Patient
from remedy.doctor.tracking import severity_of
from remedy.spec.proposed_conntrack import FILLING

MANY_ENTRIES = 10_000
_SHOWN = 5


def own_tables(patient: Patient) -> Iterator[Finding]:
    """Those that fill: the maximum is the host's, and counts for each namespace by itself."""
    names = {container.id: container.name for container in patient.facts.containers}
    found = [
        (space.own_table.entries, next((names[i] for i in space.containers if i in names), f"process {space.pid}"))
        for space in patient.facts.namespaces
        if space.own_table is not None and space.own_table.entries and not space.own_table.kept_empty
    ]
    maximum = patient.facts.conntrack.maximum
    least = min(MANY_ENTRIES, FILLING * maximum) if maximum else MANY_ENTRIES
    filling = sorted((one for one in found if one[0] >= least), reverse=True)
    if not filling:
        return
    most, who = filling[0]
    level = most / maximum if maximum else 0.0
    yield Finding(
        code="own-conntrack-table",
        severity=severity_of(level),
        title=f"{who} has a conntrack table of its own, with {most} entries"
        + (f": it is {level:.0%} full" if maximum else ""),
        evidence=tuple(
            Evidence(
                what=f"{name}: {entries}" + (f" of {maximum} entries" if maximum else " entries"),
                where="net.netfilter.nf_conntrack_count in its network namespace",
            )
            for entries, name in filling[:_SHOWN]
        ),
        consequence="on a user-defined network the engine's DNS rules have the kernel track every connection of the "
        "container a second time; when that table is full, its new connections are dropped, and the host's table "
        "shows nothing of it",
        remedy="notrack, which keeps the tables of the load balancer and its backends empty; or connections kept alive",
        confidence="seen",
    )
