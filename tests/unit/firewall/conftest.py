"""Recorded texts of real hosts, and the comparison with golden files."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[2] / "golden" / "firewall"
RECORDED = sorted((Path(__file__).parent / "data").glob("*.txt.gz"))


@pytest.fixture(params=RECORDED, ids=lambda path: path.name.removesuffix("-save.txt.gz"))
def recorded(request: pytest.FixtureRequest) -> str:
    """iptables-save text of a real host, one after the other."""
    return gzip.decompress(request.param.read_bytes()).decode()


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare a text with tests/golden/firewall/NAME; UPDATE_GOLDEN=1 rewrites the file instead."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("UPDATE_GOLDEN"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert text == path.read_text(), f"{path} differs; UPDATE_GOLDEN=1 rewrites it"

    return compare
