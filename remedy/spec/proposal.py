"""What `remedy init` proposes for a host: decided here, written by `remedy.spec.render`.

The planner is the judge: each candidate is planned, and only one that it neither refuses nor finds useless is
proposed. It comes in as a function, because the plan is further down the stream than the spec.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from remedy.facts.model import HostFacts
from remedy.spec.discovery import Group, LoadBalancerFound, find_groups, find_load_balancer
from remedy.spec.judgement import MAX_OBJECTIONS, Judge, Judgement, Remedy, why_not
from remedy.spec.models import Policy, Probe, Remedies, Spec
from remedy.spec.proposed_conntrack import propose_conntrack
from remedy.spec.proposed_network import propose_network
from remedy.spec.proposed_watcher import why_watched

MAX_PROBES = 64


@dataclass(frozen=True, slots=True)
class Proposal:
    """A spec for this host, and the reasons for everything in it and everything left out."""

    facts: HostFacts
    spec: Spec
    load_balancer: LoadBalancerFound
    groups: tuple[Group, ...]
    remedies: tuple[Remedy, ...]
    acceptable: tuple[str, ...]  # lines for `accept` that would overcome objections
    watch: tuple[str, ...] = ()  # why the watcher is wanted; () where it is not needed


def propose(facts: HostFacts, judge: Judge) -> Proposal:
    """Return the best that this host allows without losing anybody."""
    proposal = _watched(_propose_ways(facts, judge), judge)
    remedy, options = propose_conntrack(facts, judge)
    remedies = (*proposal.remedies, remedy)
    if options is None:
        return replace(proposal, remedies=remedies)
    wanted = proposal.spec.remedies.model_copy(update={"conntrack": options})
    return replace(proposal, remedies=remedies, spec=proposal.spec.model_copy(update={"remedies": wanted}))


def _watched(proposal: Proposal, judge: Judge) -> Proposal:
    """With the watcher where something has to follow the containers, and this host can have it."""
    reasons = why_watched(proposal.facts, proposal.spec)
    spec = proposal.spec.model_copy(update={"watch": True})
    if not reasons or proposal.spec.policy.accept_pinned or judge(spec).objections:
        return proposal
    return replace(proposal, spec=spec, watch=reasons)


def _propose_ways(facts: HostFacts, judge: Judge) -> Proposal:
    """What leads connections around docker-proxy."""
    paths = judge(Spec(version=1)).paths
    balancer = find_load_balancer(facts, paths)
    groups = find_groups(facts, balancer, paths)
    bare = Spec(
        version=1,
        load_balancer=balancer.reference,
        backends=tuple(group.backend for group in groups),
        probes=_probes(balancer, groups),
    )
    network = propose_network(facts, bare, balancer, groups, judge)
    # Whoever is led elsewhere must not be said to need the way that it no longer takes.
    base = (
        bare.model_copy(update={"remedies": Remedies(user_network=network.value), "probes": ()})
        if network.is_taken
        else bare
    )
    without_proxy = _with(base, {"userland_proxy": False}, Policy(restart_engine=True))
    verdict = judge(without_proxy)
    if not verdict.objections:
        alone = judge(_with(bare, {"userland_proxy": False}, Policy(restart_engine=True))).changes
        remedies = (network, _proxy_taken(facts, verdict, alone), Remedy("hairpin", "true", False, (_NOT_NEEDED,)))
        return Proposal(facts, without_proxy, balancer, groups, (*remedies, *_left_to_the_operator()), ())
    proxy = Remedy("userland_proxy", "false", False, why_not(verdict.objections))
    hairpin, spec = _hairpin_or_not(base, balancer, network, judge)
    acceptable = tuple(o.accepted_by for o in verdict.objections if o.accepted_by)[:MAX_OBJECTIONS]
    return Proposal(facts, spec, balancer, groups, (network, proxy, hairpin, *_left_to_the_operator()), acceptable)


def _hairpin_or_not(base: Spec, balancer: LoadBalancerFound, network: Remedy, judge: Judge) -> tuple[Remedy, Spec]:
    with_hairpin = _with(base, {"hairpin": True}, Policy()).model_copy(update={"watch": True})
    if judge(Spec(version=1, watch=True)).objections:  # there is no systemd here
        with_hairpin = _with(base, {"hairpin": True}, Policy(accept_pinned=True))
    in_place = judge(_with(base, {"hairpin": False}, Policy())).changes  # there is something to remove
    if network.is_taken and not in_place:
        return Remedy("hairpin", "true", False, (_LED_BY_NAME,)), base
    hairpin = _hairpin(balancer, judge(with_hairpin), in_place, is_watched=bool(with_hairpin.watch))
    return hairpin, with_hairpin if hairpin.is_taken else base


_NOT_NEEDED = "Not needed: with the userland proxy off the engine's own rules serve these paths."
_LED_BY_NAME = "Not needed: with user_network the load balancer goes straight to its backends."


def _with(base: Spec, remedies: dict[str, bool], policy: Policy) -> Spec:
    return base.model_copy(update={"remedies": base.remedies.model_copy(update=remedies), "policy": policy})


def _probes(balancer: LoadBalancerFound, groups: Sequence[Group]) -> tuple[Probe, ...]:
    if balancer.name is None:
        return ()
    addresses = dict.fromkeys(address for group in groups for address in group.addresses)
    tcp = [address for address in addresses if "/" not in address]
    return tuple(Probe(from_=balancer.name, to=address) for address in tcp[:MAX_PROBES])


def _proxy_taken(facts: HostFacts, verdict: Judgement, changes: bool) -> Remedy:
    if not changes:
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


def _hairpin(balancer: LoadBalancerFound, verdict: Judgement, in_place: bool, *, is_watched: bool) -> Remedy:
    if verdict.objections:
        return Remedy("hairpin", "true", False, why_not(verdict.objections))
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
            "Its rules are pinned to the containers' present addresses; the watcher follows them (watch)."
            if is_watched
            else "Its rules are pinned to the containers' present addresses (policy.accept_pinned): apply again after "
            "a backend was made anew.",
        ),
    )


def _no_help(balancer: str | None, is_proxied: bool) -> str:
    if not is_proxied:
        who = "no known consumer" if balancer is None else f"nothing from {balancer}"
        return f"Would not help: {who} goes through docker-proxy today."
    who = "who is known" if balancer is None else balancer
    return f"Would not help: {who} comes from another network, where rules cannot lead around docker-proxy."


def _left_to_the_operator() -> tuple[Remedy, ...]:
    pinned = (
        "For a load balancer and backends that are neighbours (user_network). Left out because its rules are pinned to "
        "the containers' present addresses: add watch: true with it.",
    )
    return (Remedy("notrack", "true", False, pinned),)
