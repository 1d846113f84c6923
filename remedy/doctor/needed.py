"""Is docker-proxy needed on this host, by whom, and what was it made for?

Answered by the planner: who would be cut off if it went.
"""

from __future__ import annotations

from remedy.doctor.model import LostWithoutProxy, ProxyNeeded
from remedy.doctor.patient import Patient
from remedy.errors import RemedyError
from remedy.plan.model import Plan

MADE_FOR = (
    "Made in April 2013 (moby 930e9a7): iptables could not DNAT connections from the loopback address, so the engine "
    "listened on 127.0.0.1 itself and copied the bytes. The kernel's route_localnet does that since (Docker 1.7 and "
    "later use it); what is left for docker-proxy is [::1], and before engine 29 containers of other networks."
)
_POSSIBLE = ("possible-",)


def proxy_needed(patient: Patient) -> ProxyNeeded:
    """The answer for this host, with the known consumers that only docker-proxy serves."""
    facts = patient.facts
    if facts.engine.userland_proxy is False:
        return ProxyNeeded(needed=False, answer="No: the engine runs without it.", made_for=MADE_FOR)
    if facts.engine.userland_proxy is None or not patient.has_network:
        why = facts.engine.userland_proxy_evidence
        return ProxyNeeded(needed=None, answer=f"It cannot be told: {why}.", made_for=MADE_FOR)
    if not facts.engine.iptables:
        answer = "Yes: the engine writes no rules (iptables: false), so nothing else serves the published ports."
        return ProxyNeeded(needed=True, answer=answer, made_for=MADE_FOR)
    plan = patient.without_proxy
    if isinstance(plan, RemedyError):
        return ProxyNeeded(needed=None, answer=f"It cannot be told: {plan.what}.", made_for=MADE_FOR)
    return _judge(patient, plan)


def _judge(patient: Patient, plan: Plan) -> ProxyNeeded:
    lost = tuple(
        LostWithoutProxy(from_=path.from_, to=path.to, container=path.container, why=path.why, known_by=path.known_by)
        for path in plan.paths
        if path.before not in ("none", "unknown") and path.after == "none"
    )
    undecided = [path for path in plan.paths if path.before not in ("none", "unknown") and path.after == "unknown"]
    possible = tuple(warning.what for warning in plan.warnings if warning.code.startswith(_POSSIBLE))
    if lost:
        answer = f"Yes, by {_who(lost)}."
        return ProxyNeeded(needed=True, answer=answer, consumers=lost, possible=possible, made_for=MADE_FOR)
    if undecided:
        way = f"{undecided[0].from_} -> {undecided[0].to}"
        answer = f"It cannot be told: what becomes of {way} without it is unknown."
        return ProxyNeeded(needed=None, answer=answer, possible=possible, made_for=MADE_FOR)
    if not patient.ports:
        return ProxyNeeded(needed=False, answer="No: no port is published.", made_for=MADE_FOR)
    answer = "Not by anybody who is known: every known consumer gets through without it."
    return ProxyNeeded(needed=False, answer=answer, possible=possible, made_for=MADE_FOR)


def _who(lost: tuple[LostWithoutProxy, ...], most: int = 3) -> str:
    shown = ", ".join(f"{one.from_} for {one.to} ({one.container})" for one in lost[:most])
    return shown + (f" and {len(lost) - most} more" if len(lost) > most else "")
