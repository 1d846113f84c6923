"""What the controller says of many hosts: one row for each, and each different plan once."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from remedy.frozen import Frozen
from remedy.plan.actions import Disruption
from remedy.plan.model import PlanHost, PlanWarning, Refusal


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


class SeenHost(Frozen):
    """A host whose facts were fetched. host: the few that playbooks ask for. facts_file: None where it failed."""

    name: str
    host: dict[str, Any] | None = None
    facts_file: str | None = None
    error: dict[str, Any] | None = None


class FleetFacts(Frozen):
    """The facts of many hosts, in files of one directory."""

    format_version: Literal[1] = 1
    directory: str
    hosts: tuple[SeenHost, ...]

    def exit_code(self) -> int:
        """1 where a host's facts are missing."""
        return int(any(host.error is not None for host in self.hosts))


class ReportedHost(Frozen):
    """One host. status: the few facts and what is applied; findings: the doctor's, None where it did not answer."""

    name: str
    status: dict[str, Any] | None = None
    findings: tuple[dict[str, Any], ...] | None = None
    error: dict[str, Any] | None = None


class FleetReport(Frozen):
    """The state of many hosts. directory: where remedy-report.md and .json were left, or None."""

    format_version: Literal[1] = 1
    directory: str | None = None
    hosts: tuple[ReportedHost, ...]

    def exit_code(self, *, detailed: bool) -> int:
        """1 where a host did not answer; if asked, 8 where a run waits, 2 for drift and findings; else 0."""
        states = [host.status for host in self.hosts if host.status is not None]
        if len(states) < len(self.hosts):
            return 1
        if not detailed:
            return 0
        if any(state["state"] in ("pending", "interrupted") for state in states):
            return 8
        return 2 if any(host.findings or (host.status or {}).get("drift") for host in self.hosts) else 0
