"""For all tests: the quick ones first, and everything in tests/lab is marked `lab`."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

# Facts of whole hosts are many objects and no garbage: looking for it among them cost a third of the quick tests.
gc.set_threshold(100_000, 50, 50)

TESTS = Path(__file__).parent
SLOW_LAST = ("unit", "property", "docs", "lab")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _part(item) == "lab" and item.get_closest_marker("lab") is None:
            item.add_marker(pytest.mark.lab)
    items.sort(key=_rank)  # stable: the order within each part stays


def _rank(item: pytest.Item) -> int:
    part = _part(item)
    return SLOW_LAST.index(part) if part in SLOW_LAST else len(SLOW_LAST)


def _part(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).parts[0]
