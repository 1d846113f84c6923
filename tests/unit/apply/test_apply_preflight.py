"""What is proved before the first write."""

from __future__ import annotations

import pytest

from remedy.apply.preflight import check_can_work
from remedy.errors import MissingToolError
from remedy.facts.model import HostFacts
from remedy.plan.actions import WriteRules
from remedy.plan.model import Plan


def test_a_python_iptables_that_finds_no_library_is_told_of_before_anything_is_changed(
    plan: Plan, facts: HostFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = [action for action in plan.actions if isinstance(action, WriteRules)]
    legacy = [action.model_copy(update={"firewall_backend": "iptables-legacy"}) for action in writes]
    monkeypatch.setattr("remedy.firewall.legacy_table.libiptc", _without_library)
    with pytest.raises(MissingToolError, match="libip4tc"):
        check_can_work(plan.model_copy(update={"actions": tuple(legacy)}), facts, None)  # type: ignore[arg-type]


def _without_library(_family: int) -> object:
    raise MissingToolError("libip4tc, libip6tc or libxtables is not installed")
