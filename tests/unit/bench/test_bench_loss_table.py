"""When a change counts as clean, and how losses are shown."""

from __future__ import annotations

import pytest
from rendering import rows_of

from remedy.bench.load_model import Incident, IncidentKind, LoadResult, VantageResult
from remedy.bench.loss import Case, CaseResult, case_topology
from remedy.bench.loss_table import incident_lines, loss_table, verdict
from remedy.bench.matrix import all_cases

END_OF_1970 = 31_535_999.5


def vantage(**changes: object) -> VantageResult:
    values: dict[str, object] = {
        "name": "host -> loopback",
        "connections": 1_000,
        "answered": 1_000,
        "refused": 0,
        "reset": 0,
        "failed": 0,
        "late": 0,
        "never": 0,
        "longest_ms": 12.3,
        "keep_alive_requests": 200,
        "keep_alive_closes": 1,
        "keep_alive_failures": 0,
        "keep_alive_longest_ms": 3.0,
    }
    return VantageResult.model_validate(values | changes)


def result(*vantages: VantageResult) -> CaseResult:
    load = LoadResult(vantages=vantages, seconds=4.0, worst_lag_ms=7.0, stalled_ms=9.0, skipped=0)
    return CaseResult(
        engine="28.5",
        firewall="nft",
        containers=64,
        ip_forward=True,
        direction="apply",
        seconds=3.21,
        notes=(),
        load=load,
    )


def test_an_orderly_close_of_a_kept_connection_is_clean_once() -> None:
    assert result(vantage()).is_clean
    assert result(vantage(keep_alive_closes=0)).is_clean
    assert not result(vantage(keep_alive_closes=2)).is_clean
    assert not result(vantage(keep_alive_failures=1)).is_clean


@pytest.mark.parametrize("kind", ["refused", "reset", "failed", "late", "never"])
def test_every_kind_of_loss_counts_from_every_place(kind: str) -> None:
    measured = result(vantage(), vantage(name="external -> backend", **{kind: 2}))

    assert measured.lost == 2
    assert not measured.is_clean


def test_the_sentence_counts_all_changes() -> None:
    measured = [result(vantage(), vantage()), result(vantage(refused=3))]

    assert verdict(measured) == "3000 connections in 2 changes: 3 lost; 1 changes clean"


def test_the_table_names_the_change_once_and_every_place() -> None:
    rows = rows_of(
        loss_table([result(vantage(), vantage(name="b", refused=1, reset=2, failed=1, late=4, keep_alive_closes=0))])
    )

    assert rows[1] == [
        *("28.5", "nft", "64", "apply, 3.2 s", "host -> loopback"),
        *("1000", "0", "0", "0", "12", "1 closed", "7"),
    ]
    assert rows[2] == ["", "", "", "", "b", "1000", "1", "3", "4", "12", "held", "7"]


def incident(kind: IncidentKind) -> Incident:
    return Incident(kind=kind, at=END_OF_1970, milliseconds=1003.0, retransmits=1)


def test_an_incident_has_its_moment_for_the_engines_journal() -> None:
    (line,) = incident_lines([result(vantage(late=1, incidents=(incident("late"), incident("keep-alive closed"))))])

    assert line == "28.5 nft 64 apply, host -> loopback: late at 23:59:59.500000, 1003.0 ms, 1 segments sent again"


def test_the_first_incidents_of_a_place_stand_for_all() -> None:
    many = vantage(refused=40, incidents=(incident("refused"),) * 40)

    assert len(incident_lines([result(many, many)])) == 10


def test_the_cases_are_every_combination() -> None:
    assert len(all_cases()) == 12
    assert all_cases(["28.5"], ["nft"], [4]) == (Case("28.5", "nft", 4),)


def test_a_case_has_so_many_containers_in_all_and_haproxy_knows_them() -> None:
    topology = case_topology(Case("28.5", "nft", 20))
    (configuration,) = (file.content for file in topology.files if file.path.endswith("haproxy.cfg"))

    assert len(topology.containers) == 20
    assert all(container.publish for container in topology.containers)
    assert configuration.count("server api") == 19


def test_a_host_may_begin_without_forwarding() -> None:
    assert case_topology(Case("28.5", "nft", 4, ip_forward=False)).sysctls["net.ipv4.ip_forward"] == 0
