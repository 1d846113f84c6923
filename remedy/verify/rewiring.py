"""Whether a rewired haproxy reaches its servers: whoever was made again while the run was at work, by today's facts."""

from __future__ import annotations

from collections.abc import Sequence

from remedy.facts.model import HostFacts
from remedy.plan.actions import Action
from remedy.plan.rewiring.probes import missing_members, rewired_probes
from remedy.verify.connect import Answer
from remedy.verify.probes import Key, probe_until_as_before

WANTED = Answer(True, "", 0.0)


def servers_out_of_reach(actions: Sequence[Action], facts: HostFacts) -> tuple[str, ...]:
    """What does not answer although these actions are done, a line each; tried until RETRY_SECONDS have passed."""
    probes = rewired_probes(actions, facts)
    wanted: dict[Key, Answer | None] = {(probe.from_, probe.to): WANTED for probe in probes}
    answers = probe_until_as_before(probes, facts, wanted)
    silent = [
        f"{who} -> {to}: {'not tried' if answer is None else answer.detail}"
        for (who, to), answer in answers.items()
        if answer is None or not answer.worked
    ]
    return (*missing_members(actions, facts), *silent)
