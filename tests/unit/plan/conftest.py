"""Facts of real lab hosts, saved by `remedy facts`, for planning without a host."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from remedy.captures.facts import load_capture
from remedy.captures.files import read_capture
from remedy.facts.model import HostFacts
from remedy.plan.model import Plan
from remedy.plan.planner import make_plan
from remedy.spec.models import Spec

CAPTURES = Path(__file__).parents[2] / "captures"
DATA = Path(__file__).parent / "data"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def facts_of() -> Callable[[str], HostFacts]:
    def load(name: str) -> HostFacts:
        return HostFacts.model_validate_json(gzip.decompress((DATA / f"facts-{name}.json.gz").read_bytes()))

    return load


@pytest.fixture
def capture() -> Callable[[str], HostFacts]:
    """Recorded hosts, of engines that the lab does not have too."""
    return lambda name: load_capture(read_capture(CAPTURES / f"{name}.tar.xz"))


@pytest.fixture
def plan_for() -> Callable[..., Plan]:
    def plan(facts: HostFacts, **keys: object) -> Plan:
        return make_plan(Spec.model_validate({"version": 1, **keys}), facts, spec_digest="d", now=NOW)

    return plan
