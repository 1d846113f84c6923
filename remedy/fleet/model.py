"""What the controller says of many hosts: one row for each, and each different plan once."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from remedy.frozen import Frozen
from remedy.plan.model import Disruption, PlanHost, PlanWarning, Refusal


class ActionOutline(Frozen):
    """An action without what its undo needs. Keys as in a plan; others of a plan's action are dropped."""

    id: str
    kind: str
    summary: str
    reason: str
    before: str
    after: str
    disruption: Disruption

    model_config = ConfigDict(extra="ignore")


class WayOutline(Frozen):
    """A connection that the plan leads another way."""

    from_: str = Field(alias="from")
    to: str
    before: str
    after: str

    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class PlanOutline(Frozen):
    """What a person decides upon in a plan."""

    changes: bool
    actions: tuple[ActionOutline, ...]
    paths: tuple[WayOutline, ...]
    refusals: tuple[Refusal, ...]
    warnings: tuple[PlanWarning, ...]


class PlanGroup(PlanOutline):
    """Hosts whose plans are the same to a person. group: counted from 1, in the order of the hosts."""

    group: int
    hosts: tuple[str, ...]


class PlannedHost(Frozen):
    """One host.

    name: in an inventory, or the facts file's without its ending. facts_file, plan_file: on this machine.
    host, group: None where there is no plan. error: as with `--format json`, where result is failed.
    """

    name: str
    result: Literal["changes", "unchanged", "refused", "failed"]
    host: PlanHost | None = None
    group: int | None = None
    facts_file: str | None = None
    plan_file: str | None = None
    error: dict[str, Any] | None = None


class PlanCounts(Frozen):
    """How many hosts came to what."""

    hosts: int
    changes: int
    unchanged: int
    refused: int
    failed: int


class FleetPlan(Frozen):
    """The plans of many hosts."""

    format_version: Literal[1] = 1
    counts: PlanCounts
    groups: tuple[PlanGroup, ...]
    hosts: tuple[PlannedHost, ...]

    def exit_code(self, *, detailed: bool) -> int:
        """The codes of `remedy plan`, folded: 1 where a host has no plan, else 7, else 2 if asked, else 0."""
        if self.counts.failed:
            return 1  # first, for the answer is not whole
        if self.counts.refused:
            return 7
        return 2 if detailed and self.counts.changes else 0
