"""Whether `remedy init` proposes `user_network`, and which network."""

from __future__ import annotations

from collections.abc import Sequence

from remedy.facts.model import HostFacts
from remedy.spec.discovery import Group, LoadBalancerFound
from remedy.spec.judgement import Judge, Remedy, why_not
from remedy.spec.models import Remedies, Spec

KEY = "user_network"
NEW_NETWORK = "remedy-lb"
DEFAULT_NETWORK = "bridge"  # no names are answered there


def propose_network(
    facts: HostFacts, bare: Spec, balancer: LoadBalancerFound, groups: Sequence[Group], judge: Judge
) -> Remedy:
    """The remedy for this load balancer. bare: the spec without any remedy."""
    name = _common_network(facts, balancer, groups) or NEW_NETWORK
    if not isinstance(balancer.reference, str) or not groups:
        why = "Left out: it is for a load balancer in a container that reaches backends on this host."
        return Remedy(KEY, NEW_NETWORK, False, (why,))
    verdict = judge(bare.model_copy(update={"remedies": Remedies(user_network=name), "probes": ()}))
    if verdict.objections:
        return Remedy(KEY, name, False, why_not(verdict.objections))
    if not verdict.is_useful:
        return Remedy(KEY, name, False, ("Would not help: no server of haproxy leads to a backend by an address.",))
    led = [path for path in verdict.paths if path.from_ == balancer.name and path.after == "direct"]
    reasons = (
        f"Leads {balancer.name} to its backends by name, on one network: no docker-proxy, no NAT, and a name follows "
        "its container when it is made again."
        if verdict.changes
        else f"{balancer.name} reaches its backends by name already; said here so that remedy tells when that changes.",
        *((f"{len(led)} known ways become direct; haproxy is reloaded, no request is lost.",) if led else ()),
    )
    return Remedy(KEY, name, True, reasons)


def _common_network(facts: HostFacts, balancer: LoadBalancerFound, groups: Sequence[Group]) -> str | None:
    """A user-defined network that all of them are on already."""
    wanted = {balancer.name, *(name for group in groups for name in group.backend.containers or ())}
    found = [
        {endpoint.network_name for endpoint in container.endpoints}
        for container in facts.containers
        if container.name in wanted
    ]
    common = set.intersection(*found) if found else set()
    bridges = {network.name for network in facts.networks if network.driver == "bridge"}
    return next(iter(sorted((common & bridges) - {DEFAULT_NETWORK})), None)
