"""Own conntrack tables that a run keeps empty: told once they fill again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from remedy.apply.runs import Run
from remedy.apply.settings import Settings
from remedy.apply.status import status_report
from remedy.facts.model import HostFacts, OwnTable
from remedy.plan.actions import InsideMember, UntrackInside
from remedy.plan.model import Plan

TEXTS = {"summary": "s", "reason": "r", "before": "b", "after": "a", "inverse": "i"}


@pytest.fixture
def plan(plan: Plan, facts: HostFacts) -> Plan:
    members = tuple(InsideMember(container=c.name, container_id=c.id) for c in facts.containers if c.is_running)
    backend = facts.firewall.backend
    inside = UntrackInside(id="untrack_inside", **TEXTS, members=members, firewall_backend=backend)
    return plan.model_copy(update={"actions": (inside,)})


def with_tables(facts: HostFacts, table: OwnTable) -> HostFacts:
    spaces = (s if s.is_host else s.model_copy(update={"own_table": table}) for s in facts.namespaces)
    return facts.model_copy(update={"namespaces": tuple(spaces)})


def test_a_table_that_fills_again_is_drift(
    journalled: Callable[..., Run], facts: HostFacts, plan: Plan, tmp_path: Path
) -> None:
    run = journalled("started", ("intent", "untrack_inside", {}), "committed")
    settings = Settings(state_dir=tmp_path / "state", socket="unix:///nowhere")
    settings.runs_dir.mkdir(parents=True)
    run.directory.rename(settings.runs_dir / run.id)
    names = {member.container for member in plan.actions[0].members}

    def drifted(table: OwnTable) -> set[str]:
        return {drift.what for drift in status_report(with_tables(facts, table), None, settings).drift}

    assert drifted(OwnTable(entries=3, rules="engine", kept_empty=True)) == set()
    assert drifted(OwnTable(entries=3, rules="none")) == set(), "nothing is tracked there"
    assert drifted(OwnTable(entries=3, rules="other")) == set(), "that is left alone"
    again = {f"the own conntrack table of {name} fills again" for name in names}
    assert drifted(OwnTable(entries=3, rules="engine")) == again
