"""The plan: what would change, why, at what cost, and how each change is undone.

The JSON form of `Plan` is the plan; the terminal view renders it, apply executes it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from remedy.frozen import Frozen
from remedy.plan.actions import Action

PLAN_FORMAT_VERSION = 1


class PathChange(Frozen):
    """How one connection travels before and after the plan: docker-proxy, dnat, direct, local, none, unknown."""

    from_: str = Field(alias="from")
    to: str
    container: str
    before: str
    after: str
    source_before: str | None = None
    source_after: str | None = None
    why: str = ""
    known_by: str = ""

    model_config = ConfigDict(populate_by_name=True)


class Refusal(Frozen):
    """Why the plan is not applied: what is unsafe, why, and what would cure it."""

    code: str
    what: str
    why: str
    cure: str
    accepted_by: str | None = None  # the line in remedy.yaml that would accept it


class PlanWarning(Frozen):
    """Something the operator should know; it does not stop the plan."""

    code: str
    what: str
    detail: str = ""


class ProbePlan(Frozen):
    """A connection that apply tries before and after. from: container name, host or external."""

    from_: str = Field(alias="from")
    to: str
    http: str | None = None
    why: str = ""

    model_config = ConfigDict(populate_by_name=True)


class PlanHost(Frozen):
    """The host that was planned."""

    hostname: str
    machine_id: str
    engine_version: str
    firewall_backend: str
    userland_proxy: bool | None
    containers: int
    docker_proxy_processes: int


class Plan(Frozen):
    """A change, ready to be shown, saved, and applied.

    basis: what the plan rests on, "containers.dev1-api-1" -> text; its digest is the fingerprint, its entries say
    what changed when the plan is stale.
    """

    format_version: Literal[1] = 1
    remedy_version: str
    created_at: datetime
    host: PlanHost
    changes: bool
    actions: tuple[Action, ...]
    paths: tuple[PathChange, ...]
    refusals: tuple[Refusal, ...]
    warnings: tuple[PlanWarning, ...]
    probes: tuple[ProbePlan, ...]
    confirm_within_seconds: int | None = None
    socket: str
    daemon_json_path: str
    spec_digest: str
    basis: dict[str, str]
    fingerprint: str
