"""What keeps the services on the network when compose makes their containers again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from remedy.facts.model import Container, HostFacts
from remedy.plan.model import Action, PlanWarning


def plan_overrides(
    facts: HostFacts, network_name: str, members: Sequence[Container], aliases: Mapping[tuple[str, str], str]
) -> tuple[tuple[Action, ...], tuple[PlanWarning, ...]]:
    """The override files and warnings for containers that are to stay on the network."""
    del facts, network_name, members, aliases
    return (), ()
