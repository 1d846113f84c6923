"""The two actions of notrack, and their opposite."""

from __future__ import annotations

from collections.abc import Sequence

from remedy.facts.model import HostFacts
from remedy.firewall.ruleset import Ruleset
from remedy.firewall.untracked_pairs import NOTRACK
from remedy.plan.actions import Action, ForgetFlows, RemoveRules, WriteRules
from remedy.plan.hairpin import has_rules
from remedy.plan.notrack.obstacles import words

SHOWN = 8


def keeping_untracked(facts: HostFacts, ruleset: Ruleset, found: Sequence[str]) -> tuple[Action, ...]:
    """Write the rules, then forget what conntrack knows of these flows. found: in what the host's rules differ."""
    present = has_rules(facts, NOTRACK)
    pairs = ruleset.untracked
    shown = ", ".join(f"{pair.client} <-> {words(pair)}" for pair in pairs[:SHOWN])
    plural = "s" * (len(pairs) > 1)
    return (
        WriteRules(
            id="notrack_rules",
            summary=f"keep {len(pairs)} pair{plural} of load balancer and backend from conntrack",
            reason="no NAT touches these flows, so an entry for each connection, kept for two minutes after its end, "
            "serves nobody" + _accepted(ruleset) + (f"; today: {found[0]}" if present else ""),
            before="rules of remedy that differ" if present else "every connection of theirs has an entry",
            after=shown + (" ..." if len(pairs) > SHOWN else ""),
            inverse="the rules as they were, in one transaction",
            ruleset=ruleset,
            firewall_backend=facts.firewall.backend,
        ),
        ForgetFlows(
            id="forget_flows",
            summary=f"delete the conntrack entries of {'these pairs' if plural else 'this pair'}",
            reason="an entry of an open connection would stay for days, although nothing updates it any more",
            before="entries from before",
            after="none; nobody else's entry is touched",
            inverse="nothing: a connection that is tracked again gets a new entry with its next packet",
            pairs=pairs,
        ),
    )


def _accepted(ruleset: Ruleset) -> str:
    if ruleset.forward_guard:
        return "; their packets are accepted by address and port, too"
    if ruleset.accept_ahead:
        return "; their packets are accepted ahead of the engine's rules, which would accept them at the end"
    return ""


def removal(facts: HostFacts, reason: str) -> tuple[Action, ...]:
    """Take all of them away; nothing where there are none."""
    if not has_rules(facts, NOTRACK):
        return ()
    return (
        RemoveRules(
            id="notrack_rules",
            summary="remove the notrack rules",
            reason=reason,
            before="pairs that conntrack does not see",
            after="no notrack rules of remedy",
            inverse="write them again",
            ruleset=Ruleset(name=NOTRACK),
            firewall_backend=facts.firewall.backend,
        ),
    )
