"""What `remedy init` proposes for a host: decided here, written by `remedy.spec.render`.

The planner is the judge: each candidate is planned, and only one that it neither refuses nor finds useless is
proposed. It comes in as a function, because the plan is further down the stream than the spec.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from remedy.facts.model import HostFacts
from remedy.spec.discovery import Group, LoadBalancerFound, SeenPath, find_groups, find_load_balancer
from remedy.spec.models import Policy, Probe, Remedies, Spec

MAX_OBJECTIONS = 8
MAX_PROBES = 64


@dataclass(frozen=True, slots=True)
class Objection:
    """Why the planner refuses a candidate."""

    what: str
    why: str
    cure: str
    accepted_by: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the planner says of a candidate: would it change anything, what is unsafe, who travels how."""

    changes: bool
    objections: tuple[Objection, ...] = ()
    paths: tuple[SeenPath, ...] = ()


Judge = Callable[[Spec], Judgement]


@dataclass(frozen=True, slots=True)
class Remedy:
    """One key of `remedies`: taken or left out, and why."""

    key: str
    value: str
    is_taken: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A spec for this host, and the reasons for everything in it and everything left out."""

    facts: HostFacts
    spec: Spec
    load_balancer: LoadBalancerFound
    groups: tuple[Group, ...]
    remedies: tuple[Remedy, ...]
    acceptable: tuple[str, ...]  # lines for `accept` that would overcome objections


def propose(facts: HostFacts, judge: Judge) -> Proposal:
    """Return the best that this host allows without losing anybody."""
    paths = judge(Spec(version=1)).paths
    balancer = find_load_balancer(facts, paths)
    groups = find_groups(facts, balancer, paths)
    base = Spec(
        version=1,
        load_balancer=balancer.reference,
        backends=tuple(group.backend for group in groups),
        probes=_probes(balancer, groups),
    )
    without_proxy = _with(base, Remedies(userland_proxy=False), Policy(restart_engine=True))
    verdict = judge(without_proxy)
    if not verdict.objections:
        remedies = (_proxy_taken(facts, verdict), Remedy("hairpin", "true", False, (_NOT_NEEDED,)))
        return Proposal(facts, without_proxy, balancer, groups, (*remedies, *_not_yet()), ())
    proxy = Remedy("userland_proxy", "false", False, _reasons(verdict.objections))
    with_hairpin = _with(base, Remedies(hairpin=True), Policy(accept_pinned=True))
    in_place = judge(_with(base, Remedies(hairpin=False), Policy())).changes  # there is something to remove
    hairpin = _hairpin(balancer, judge(with_hairpin), in_place)
    acceptable = tuple(o.accepted_by for o in verdict.objections if o.accepted_by)[:MAX_OBJECTIONS]
    spec = with_hairpin if hairpin.is_taken else base
    return Proposal(facts, spec, balancer, groups, (proxy, hairpin, *_not_yet()), acceptable)


_NOT_NEEDED = "Not needed: with the userland proxy off the engine's own rules serve these paths."


def _with(base: Spec, remedies: Remedies, policy: Policy) -> Spec:
    return base.model_copy(update={"remedies": remedies, "policy": policy})


def _probes(balancer: LoadBalancerFound, groups: Sequence[Group]) -> tuple[Probe, ...]:
    if balancer.name is None:
        return ()
    addresses = dict.fromkeys(address for group in groups for address in group.addresses)
    tcp = [address for address in addresses if "/" not in address]
    return tuple(Probe(from_=balancer.name, to=address) for address in tcp[:MAX_PROBES])


def _proxy_taken(facts: HostFacts, verdict: Judgement) -> Remedy:
    if not verdict.changes:
        reasons = ("The engine runs without it already; said here so that remedy tells when that changes.",)
        return Remedy("userland_proxy", "false", True, reasons)
    carried = len(facts.docker_proxies)
    known = sum(path.before != "none" for path in verdict.paths)
    restart = (
        "live-restore is on, so the containers live through it."
        if facts.engine.live_restore
        else "live-restore is switched on for that time, so the containers live through it."
    )
    return Remedy(
        "userland_proxy",
        "false",
        True,
        (
            f"Takes {carried} docker-proxy processes out of the path of the published ports.",
            f"The engine restarts once; {restart}",
            f"Nobody known is cut off ({known} known ways to published ports were looked at).",
        ),
    )


def _hairpin(balancer: LoadBalancerFound, verdict: Judgement, in_place: bool) -> Remedy:
    if verdict.objections:
        return Remedy("hairpin", "true", False, _reasons(verdict.objections))
    if in_place:
        return Remedy("hairpin", "true", True, ("Its rules are in place already, and stay.",))
    proxied = [path for path in verdict.paths if path.before == "docker-proxy" and balancer.name in (None, path.from_)]
    relieved = [path for path in proxied if path.after in ("dnat", "direct")]
    if not verdict.changes or not relieved:
        return Remedy("hairpin", "true", False, (_no_help(balancer.name, bool(proxied)),))
    return Remedy(
        "hairpin",
        "true",
        True,
        (
            f"Leads {len(relieved)} known ways around docker-proxy at once, without a restart of the engine.",
            "Its rules are pinned to the containers' present addresses (policy.accept_pinned): apply again after a "
            "backend was made anew.",
        ),
    )


def _no_help(balancer: str | None, is_proxied: bool) -> str:
    if not is_proxied:
        who = "no known consumer" if balancer is None else f"nothing from {balancer}"
        return f"Would not help: {who} goes through docker-proxy today."
    who = "who is known" if balancer is None else balancer
    return f"Would not help: {who} comes from another network, where rules cannot lead around docker-proxy."


def _reasons(objections: Sequence[Objection]) -> tuple[str, ...]:
    shown = [f"Left out: {o.what}: {o.why}. Cure: {o.cure}" for o in objections[:MAX_OBJECTIONS]]
    if len(objections) > MAX_OBJECTIONS:
        shown.append(
            f"... and {len(objections) - MAX_OBJECTIONS} more reasons; with the key in, remedy plan shows them"
        )
    return tuple(shown)


def _not_yet() -> tuple[Remedy, ...]:
    reason = ("Not in this version of remedy.",)
    return (
        Remedy("user_network", "remedy-lb", False, reason),
        Remedy("notrack", "true", False, reason),
        Remedy("conntrack", "{max: 524288}", False, reason),
    )
