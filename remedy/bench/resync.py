"""How long the watcher takes for a full resync beyond the reads, on a host that nobody has in a lab.

What the reads bring is made up; what follows is the watcher's own code, up to the transaction: the engine's list taken
in, what has to stand decided, compared with what stands, and handed over to the process that writes. Seconds are the
processor's: neighbours do not count.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from remedy.apply.followed import Present
from remedy.bench.large_host import SERVER_PORT, large_host
from remedy.facts.model import Container, HostFacts
from remedy.garbage import collect_rarely
from remedy.plan.actions import Action
from remedy.plan.foresight import facts_after
from remedy.plan.held import held
from remedy.plan.planner import make_plan
from remedy.spec.models import Spec
from remedy.watch.deciding import Decided
from remedy.watch.quick_facts import QuickFacts, with_listed

PROMISED_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ResyncResult:
    """Seconds: all is as it was; all rules are gone; and handing the decision over, which alone the loop waits for.

    redirects, pairs: that are held.
    """

    containers: int
    redirects: int
    pairs: int
    unchanged: float
    all_gone: float
    handing_over: float

    @property
    def keeps_promise(self) -> bool:
        """Whether a resync takes as long as promised at most, whatever it finds."""
        return self.handing_over + max(self.unchanged, self.all_gone) <= PROMISED_SECONDS


def measure_resync(containers: int, rounds: int, *, notrack: bool) -> ResyncResult:
    """Make the facts, plan once, and stop the time of what the watcher does then. Median of the rounds."""
    collect_rarely()  # as the process apart does
    before = large_host(containers, 10 * containers)
    spec = _spec(before, notrack=notrack)
    actions = make_plan(spec, before, spec_digest="", now=before.gathered_at).actions
    after = facts_after(before, actions)
    listed = [_listed(container) for container in before.containers]
    standing = [ruleset for action in actions if (ruleset := getattr(action, "ruleset", None)) is not None]
    return ResyncResult(
        containers=containers,
        redirects=sum(len(ruleset.redirects) for ruleset in standing),
        pairs=sum(len(ruleset.untracked) for ruleset in standing),
        unchanged=median(_resync(spec, after, actions, listed) for _ in range(rounds)),
        all_gone=median(_resync(spec, before, actions, listed) for _ in range(rounds)),
        handing_over=median(_hand_over(spec, before, actions) for _ in range(rounds)),
    )


def resync_lines(result: ResyncResult) -> Sequence[str]:
    """The figures, and whether they are as promised."""
    word = "as promised" if result.keeps_promise else "TOO SLOW"
    slowest = result.handing_over + max(result.unchanged, result.all_gone)
    return (
        f"{result.containers} containers, {result.redirects} redirected ports, {result.pairs} untracked pairs",
        f"{result.unchanged:.2f} s to decide where all is as it was, {result.all_gone:.2f} s where all rules are gone, "
        f"then {result.handing_over:.2f} s to hand the decision over",
        f"{slowest:.2f} s of {PROMISED_SECONDS:g} s beyond the reads: {word}",
    )


def _resync(spec: Spec, facts: HostFacts, actions: Sequence[Action], listed: list[dict[str, Any]]) -> float:
    """As `deciding.decide` does it."""
    began = time.process_time()
    found = with_listed(facts, listed)
    QuickFacts.of(found)
    held(spec, found, actions)
    return time.process_time() - began


def _hand_over(spec: Spec, facts: HostFacts, actions: Sequence[Action]) -> float:
    """From the process that decided to the watcher, where the most has to be done."""
    decided = Decided((), held(spec, facts, actions), QuickFacts.of(facts), Present.of(facts))
    began = time.process_time()
    pickle.loads(pickle.dumps(decided, protocol=pickle.HIGHEST_PROTOCOL))  # noqa: S301 (made here)
    return time.process_time() - began


def _spec(facts: HostFacts, *, notrack: bool) -> Spec:
    first, *rest = (container.name for container in facts.containers)
    return Spec.model_validate(
        {
            "version": 1,
            "load_balancer": first,
            "backends": [{"containers": rest, "port": SERVER_PORT}],
            "remedies": {"hairpin": True, **({"notrack": True} if notrack else {})},
            "accept_pinned": True,
        }
    )


def _listed(container: Container) -> dict[str, Any]:
    """A container as /containers/json has it."""
    networks = {
        endpoint.network_name: {
            "NetworkID": endpoint.network_id,
            "IPAddress": str(endpoint.ipv4.ip) if endpoint.ipv4 else "",
            "IPPrefixLen": endpoint.ipv4.network.prefixlen if endpoint.ipv4 else 0,
            "Gateway": str(endpoint.gateway4 or ""),
        }
        for endpoint in container.endpoints
    }
    return {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "State": container.state,
        "Labels": container.labels,
        "Ports": [
            {
                "IP": str(port.host_address),
                "PrivatePort": port.container_port,
                "PublicPort": port.host_port,
                "Type": port.protocol.value,
            }
            for port in container.ports
        ],
        "NetworkSettings": {"Networks": networks},
        "HostConfig": {"NetworkMode": container.network_mode},
    }
