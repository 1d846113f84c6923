"""What has to be done, decided by a look at the host in full: what the process apart hands over to the watcher."""

from __future__ import annotations

from dataclasses import dataclass

from remedy.apply.followed import Present
from remedy.apply.settings import Settings
from remedy.facts.model import HostFacts
from remedy.firewall.ruleset import Ruleset
from remedy.plan.held import Held, held
from remedy.spec.models import Spec
from remedy.watch.applied import AppliedRuns, Seen
from remedy.watch.engine_socket import list_containers
from remedy.watch.quick_facts import QuickFacts, with_listed


@dataclass(frozen=True, slots=True)
class Decided:
    """By the runs as they were seen then. facts: for quick looks; present: what is on the host."""

    runs: Seen
    wanted: Held
    facts: QuickFacts
    present: Present


def decide(settings: Settings, looked: HostFacts, spec: Spec, last: Ruleset | None) -> Decided:
    """By the engine's list of now, because the look may have taken long.

    last: the pairs that the looks so far have found to be right. Raises RemedyError.
    """
    runs = AppliedRuns(settings)
    actions = runs.read().actions
    facts = with_listed(looked, list_containers(settings.socket))
    return Decided(runs.seen, held(spec, facts, actions, last), QuickFacts.of(facts), Present.of(facts))
