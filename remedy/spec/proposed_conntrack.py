"""Whether `remedy init` proposes to size the conntrack table, and for which rate of connections."""

from __future__ import annotations

from math import ceil, log10

from remedy.facts.conntrack_sizing import ended_per_second
from remedy.facts.model import HostFacts
from remedy.host.conntrack_settings import TIME_WAIT
from remedy.spec.conntrack import ConntrackOptions
from remedy.spec.judgement import Judge, Remedy, why_not
from remedy.spec.models import Remedies, Spec

# From here on a burst would fill it.
FILLING = 0.6
_USUAL_RATE = 1000
_NOT_READ = "Left out: how full the conntrack table is could not be read."


def propose_conntrack(facts: HostFacts, judge: Judge) -> tuple[Remedy, ConntrackOptions | None]:
    """The remedy and its options; None where it is left out."""
    rate = measured_rate(facts)
    options = ConntrackOptions(connection_rate=rate or _USUAL_RATE)
    value = f"{{connection_rate: {options.connection_rate}}}"
    known = facts.conntrack
    if known.count is None or not known.maximum or rate is None:
        return Remedy("conntrack", value, False, (_NOT_READ,)), None
    level = f"the conntrack table holds {known.count} of {known.maximum} connections"
    if not is_filling(facts):
        return Remedy("conntrack", value, False, (f"Not needed: {level}.",)), None
    verdict = judge(Spec(version=1, remedies=Remedies(conntrack=options)))
    if verdict.objections:
        return Remedy("conntrack", value, False, why_not(verdict.objections)), None
    dropped = known.losses.drop if known.losses else 0
    reasons = (
        f"Sized for {rate} connections a second, as many as end now: {level}"
        + (f", and {dropped} were dropped because it was full." if dropped else "."),
    )
    return Remedy("conntrack", value, True, reasons), options


def is_filling(facts: HostFacts) -> bool:
    """Whether a burst would fill the table, or one has."""
    known = facts.conntrack
    level = known.count / known.maximum if known.count and known.maximum else 0.0
    return level >= FILLING or bool(known.losses and known.losses.drop)


def measured_rate(facts: HostFacts) -> int | None:
    """Connections a second, in two digits and rounded up; None where the table was not read.

    What has ended in the last time_wait; where less than that is known, as if every entry were such a connection.
    """
    seconds = facts.sysctls.get(TIME_WAIT, "")
    if facts.conntrack.count is None or not seconds.isdigit() or not int(seconds):
        return None
    rate = ended_per_second(facts)
    found = max(facts.conntrack.count / int(seconds) if rate is None else rate, 1.0)
    digits: int = 10 ** max(int(log10(found)) - 1, 0)
    return ceil(found / digits) * digits
