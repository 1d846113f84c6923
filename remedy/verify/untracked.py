"""Untracked pairs, tried: each server answers its client, and conntrack has no entry of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from remedy.facts.flows import TCP, UDP, Ends, read_between
from remedy.facts.model import HostFacts, Protocol
from remedy.firewall.ruleset import UntrackedPair
from remedy.firewall.untracked_pairs import of_today, present_pairs
from remedy.paths.untracked import UntrackedTraffic, untracked_traffic
from remedy.plan.actions import Action, WriteRules
from remedy.plan.model import ProbePlan
from remedy.spec.models import HostPort
from remedy.verify.connect import Answer
from remedy.verify.probes import Key as ProbeKey
from remedy.verify.probes import probe_until_as_before

WANTED = Answer(True, "", 0.0)
_NUMBERS = {"tcp": TCP, "udp": UDP}
# A server that is not there refuses, and the refusal comes back by the same rules.
REFUSED = "Connection refused"


def pairs_out_of_reach(actions: Sequence[Action], facts: HostFacts) -> tuple[str, ...]:
    """What does not answer although these actions are done, a line each; tried until RETRY_SECONDS have passed."""
    pairs = [pair for action in actions if isinstance(action, WriteRules) for pair in action.ruleset.untracked]
    probes = tuple(_probe(pair) for pair in of_today(pairs, facts) if pair.protocol is Protocol.TCP)
    wanted: dict[ProbeKey, Answer | None] = {(probe.from_, probe.to): WANTED for probe in probes}
    answers = probe_until_as_before(probes, facts, wanted)
    return tuple(
        f"{who} -> {to}: {'not tried' if answer is None else answer.detail}"
        for (who, to), answer in answers.items()
        if answer is None or not (answer.worked or answer.detail == REFUSED)
    )


def pair_probes(facts: HostFacts) -> Iterator[ProbePlan]:
    """A connection from each client to each server that the host's rules keep from conntrack."""
    for traffic in untracked_traffic(facts):
        if traffic.client is not None and not traffic.to.endswith("/udp"):
            yield ProbePlan(from_=traffic.client, to=traffic.to, why="untracked")


def traffic_now(facts: HostFacts) -> tuple[UntrackedTraffic, ...]:
    """The pairs of the host's rules with the entries that the kernel has of them at this moment. Raises OSError."""
    keys = present_pairs(facts.firewall)
    ends = {Ends(_NUMBERS[key[0]], *key[1:]): key for key in keys if key[0] in _NUMBERS}
    entries = Counter(ends[found] for found, _ in read_between(ends.keys()))
    return untracked_traffic(facts, entries)


def _probe(pair: UntrackedPair) -> ProbePlan:
    to = HostPort(address=pair.server_address, port=pair.server_port)
    return ProbePlan(from_=pair.client, to=str(to), why="untracked")
