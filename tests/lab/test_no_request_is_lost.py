"""Load from everywhere during apply and rollback: the loss benchmark's cases, as a test on any machine."""

from __future__ import annotations

import os

import pytest
from losses import broken_by_the_network, lost_by_the_network

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
