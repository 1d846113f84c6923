"""What one remedy comes to, of which a plan is put together."""

from __future__ import annotations

from dataclasses import dataclass

from remedy.plan.actions import Action
from remedy.plan.model import PlanWarning, Refusal


@dataclass(frozen=True, slots=True)
class Part:
    """Nothing where the spec does not want it. What is unsafe stands in `refusals`."""

    actions: tuple[Action, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[PlanWarning, ...] = ()
