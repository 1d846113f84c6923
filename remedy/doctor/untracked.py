"""Pairs that remedy keeps from conntrack, and that it sees all the same."""

from __future__ import annotations

from collections.abc import Iterator

from remedy.doctor.model import Evidence, Finding
from remedy.doctor.patient import Patient
from remedy.paths.untracked import untracked_traffic

_SHOWN = 5


def untracked(patient: Patient) -> Iterator[Finding]:
    """Nothing while the rules do what they are for."""
    pairs = untracked_traffic(patient.facts)
    seen = [pair for pair in pairs if pair.entries]
    if not seen:
        return
    yield Finding(
        code="untracked-pairs-tracked",
        severity="medium",
        title=f"conntrack has {sum(pair.entries for pair in seen)} entries of pairs that it should not see",
        evidence=tuple(
            Evidence(
                what=f"{pair.client or pair.client_address} -> {pair.server or 'nobody'} {pair.to}: "
                f"{pair.entries} entries, {pair.connections} connections",
                where="conntrack; remedy's notrack rules",
            )
            for pair in seen[:_SHOWN]
        ),
        consequence="these connections cost what they did without notrack, and fill the table",
        remedy="remedy status shows whether the rules were changed; conntrack -D deletes entries from before them",
        confidence="seen",
    )
