"""The packet walk beside the kernel: a few random hosts, each connection really made. `make truth` tries many more."""

from __future__ import annotations

import os

import pytest

from remedy.lab import ENGINES
from remedy.truth.generate import generate
from remedy.truth.report import wrong_lines
from remedy.truth.run import run_scenario
from remedy.truth.scenario import Kind, ProxyMode

pytestmark = pytest.mark.lab

CELLS = 160
# Chosen so that between them there are all modes of the proxy, both firewalls, IPv6, and rules of every origin.
HOSTS = [
    (Kind("20.10", "legacy", ProxyMode.FLIPPED), 4),
    (Kind("26.1", "nft", ProxyMode.OFF), 4),
    (Kind("28.5", "nft", ProxyMode.FLIPPED), 4),
    (Kind("28.5", "legacy", ProxyMode.ON), 3),
]


def test_every_engine_is_among_the_hosts() -> None:
    assert {kind.engine for kind, _ in HOSTS} == set(ENGINES)


@pytest.mark.parametrize(("kind", "seed"), HOSTS, ids=[f"{kind}-{seed}" for kind, seed in HOSTS])
def test_the_packet_walk_is_right_about_every_connection(kind: Kind, seed: int) -> None:
    result = run_scenario(generate(seed, kind), f"t{os.getpid()}", CELLS)
    assert len(result.cells) >= CELLS * 0.9
    assert sum(cell.seen.ok for cell in result.cells) >= 20
    assert not result.wrong, "\n".join(wrong_lines(result))
    assert len(result.unknown) <= len(result.cells) // 100, "\n".join(wrong_lines(result))
