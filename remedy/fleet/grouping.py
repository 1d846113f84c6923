"""Which plans are the same: thirty hosts are rarely thirty plans."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from remedy.fleet.model import FleetPlan, PlanCounts, PlanGroup, PlannedHost, PlanOutline


def outline_of(plan: dict[str, Any]) -> PlanOutline:
    """Return what a person decides upon in a plan's JSON form. Raises ValidationError."""
    return PlanOutline.model_validate(
        {
            "changes": plan["changes"],
            "actions": plan["actions"],
            "paths": [path for path in plan["paths"] if path["before"] != path["after"]],
            "refusals": plan["refusals"],
            "warnings": plan["warnings"],
        }
    )


def digest_of(outline: PlanOutline) -> str:
    """Return what two outlines have in common when nobody would decide differently about them."""
    said = outline.model_dump(mode="json", by_alias=True)
    # A reason tells numbers of the moment ("9 docker-proxy processes, 120 connections").
    for action in said["actions"]:
        del action["id"], action["reason"]
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Answer:
    """A host's row, and its plan's outline with the digest; both None where there is no plan."""

    row: PlannedHost
    digest: str | None = None
    outline: PlanOutline | None = None


class Grouping:
    """Takes answers in the order of the hosts. Of plans that are the same only the first is kept."""

    def __init__(self) -> None:
        self._answers: list[Answer] = []
        self._first: dict[str, PlanOutline] = {}

    def add(self, answer: Answer) -> None:
        """Take the answer of the next host."""
        if answer.digest is not None and answer.outline is not None:
            self._first.setdefault(answer.digest, answer.outline)
        self._answers.append(replace(answer, outline=None))

    def plan(self) -> FleetPlan:
        """Return what all answers come to."""
        numbers = {digest: number for number, digest in enumerate(self._first, start=1)}
        members: dict[str, list[str]] = {digest: [] for digest in numbers}
        rows = []
        for answer in self._answers:
            if answer.digest is not None:
                members[answer.digest].append(answer.row.name)
            group = None if answer.digest is None else numbers[answer.digest]
            rows.append(answer.row.model_copy(update={"group": group}))
        groups = tuple(
            PlanGroup(group=numbers[digest], hosts=tuple(members[digest]), **dict(outline))
            for digest, outline in self._first.items()
        )
        return FleetPlan(counts=_counts(rows), groups=groups, hosts=tuple(rows))


def result_of(plan: dict[str, Any]) -> Any:
    """Return the word for what a plan's JSON form comes to."""
    if plan["refusals"]:
        return "refused"
    return "changes" if plan["changes"] else "unchanged"


def _counts(rows: Iterable[PlannedHost]) -> PlanCounts:
    found = Counter(row.result for row in rows)
    return PlanCounts(
        hosts=found.total(),
        changes=found["changes"],
        unchanged=found["unchanged"],
        refused=found["refused"],
        failed=found["failed"],
    )
