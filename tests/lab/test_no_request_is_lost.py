"""Load from everywhere during apply and rollback: the loss benchmark's cases, as a test on any machine."""

from __future__ import annotations

import os

import pytest

from remedy.bench.load_model import Incident, VantageResult
from remedy.bench.loss import Case, measure_case

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(("engine", "firewall"), [("20.10", "legacy"), ("26.1", "nft"), ("28.5", "nft")])
def test_no_request_is_lost_while_the_host_is_changed_and_put_back(engine: str, firewall: str) -> None:
    directions = []
    for result in measure_case(Case(engine, firewall, 4), name=f"t{os.getpid()}-loss", say=print):
        directions.append(result.direction)
        for vantage in result.load.vantages:
            place = f"{result.direction}, {vantage.name}"
            assert vantage.connections > 300, place
            assert lost_by_the_network(vantage) == [], place
            assert broken_by_the_network(vantage) == [], place
            assert vantage.keep_alive_closes <= 1, place
    assert directions == ["apply", "rollback"]


def broken_by_the_network(vantage: VantageResult) -> list[str]:
    """What went wrong on kept-alive connections, apart from answers that a busy machine gave late."""
    wrong = [one for one in vantage.incidents if one.kind.startswith("keep-alive") and one.kind != "keep-alive closed"]
    slow = [one for one in wrong if one.kind == "keep-alive late" and not one.retransmits and not one.detail]
    broken = [told(one) for one in wrong if one not in slow]
    unseen = vantage.keep_alive_failures - len(wrong)
    return broken or ([f"{unseen} requests"] if unseen else [])


def lost_by_the_network(vantage: VantageResult) -> list[str]:
    """What went wrong, apart from answers that a busy machine gave late.

    A late answer counts where a segment was sent again: then a packet was dropped on the way.
    """
    lost = [
        told(one)
        for one in vantage.incidents
        if not one.kind.startswith("keep-alive") and (one.kind != "late" or one.retransmits)
    ]
    unseen = vantage.refused + vantage.reset + vantage.failed + vantage.never
    return lost or ([f"{unseen} connections"] if unseen else [])


def told(one: Incident) -> str:
    return f"{one.kind} after {one.milliseconds} ms, {one.retransmits} segments sent again {one.detail}"
