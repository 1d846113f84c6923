"""A real plan, a run of it in a directory, and a journal whose clock stands still."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from remedy.apply.journal import Journal, read_journal
from remedy.apply.runs import Run
from remedy.facts.model import HostFacts
from remedy.plan.model import Plan
from remedy.plan.plan_file import save_plan
from remedy.plan.planner import make_plan
from remedy.spec.models import Spec

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
FACTS = Path(__file__).parents[1] / "plan" / "data"


@pytest.fixture
def facts() -> HostFacts:
    return HostFacts.model_validate_json(gzip.decompress((FACTS / "facts-operator-28.5.json.gz").read_bytes()))


@pytest.fixture
def plan(facts: HostFacts) -> Plan:
    """userland-proxy off, with live-restore held for the restart: all seven actions."""
    spec = Spec.model_validate(
        {"version": 1, "remedies": {"userland_proxy": False}, "policy": {"restart_engine": True}}
    )
    return make_plan(spec, facts, spec_digest="d", now=NOW)


@pytest.fixture
def journalled(tmp_path: Path, plan: Plan) -> Callable[..., Run]:
    """journalled("started", ("intent", "bridge", {...}), ...) -> the Run that this journal tells of."""

    def write(*events: str | tuple[Any, ...]) -> Run:
        directory = tmp_path / "20261123-120000-abcd"
        journal = Journal.create(directory, lambda: NOW)
        save_plan(plan, directory / "plan.json")
        for event in events:
            name, action, data = (*((event,) if isinstance(event, str) else event), None, None)[:3]
            journal.write(name, action, **(data or {}))
        journal.close()
        return Run(directory.name, directory, read_journal(directory / "journal.jsonl"))

    return write
