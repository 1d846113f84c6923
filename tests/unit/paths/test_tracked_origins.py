"""The conntrack table by origin: published ports, docker-proxy's own connections, pairs, and the rest."""

from __future__ import annotations

import gzip
from ipaddress import ip_address
from pathlib import Path

import pytest

from remedy.facts.conntrack_sizing import ended_per_second
from remedy.facts.model import ConntrackEntry, ConntrackFacts, ConntrackSizing, HostFacts
from remedy.host.conntrack_settings import TIME_WAIT
from remedy.paths.tracked import tracked

SAVED = Path(__file__).parents[1] / "plan" / "data" / "facts-operator-28.5.json.gz"
GATEWAY, HAPROXY, API_1, OUTSIDE = "172.17.0.1", "172.17.0.2", "172.17.0.3", "10.98.0.1"


@pytest.fixture(scope="module")
def operator() -> HostFacts:
    return HostFacts.model_validate_json(gzip.decompress(SAVED.read_bytes()))


def entry(
    source: str, destination: str, port: int, count: int, *, server: str = "", protocol: str = "tcp"
) -> ConntrackEntry:
    return ConntrackEntry(
        protocol=protocol, source=ip_address(source), source_port=40000, destination=ip_address(destination),
        destination_port=port, reply_source=ip_address(server or destination), reply_source_port=port,
        reply_destination=ip_address(source), reply_destination_port=40000, state="TIME_WAIT", unreplied=False,
        count=count,
    )  # fmt: skip


def with_table(facts: HostFacts, *entries: ConntrackEntry, count: int, **known: object) -> HostFacts:
    fields = {"maximum": 1000, "buckets": 1024, "entries_complete": True, **known}
    conntrack = ConntrackFacts.model_validate({"count": count, "entries": entries, **fields})
    return facts.model_copy(update={"conntrack": conntrack})


def origins(facts: HostFacts) -> list[tuple[str, str, int]]:
    found = tracked(facts)
    assert found is not None
    return [(origin.kind, origin.what, origin.entries) for origin in found.origins]


def test_each_entry_counts_for_one_origin(operator: HostFacts) -> None:
    facts = with_table(
        operator,
        entry(HAPROXY, GATEWAY, 5001, 100),
        entry(OUTSIDE, "10.98.0.2", 5001, 50, server=API_1),
        entry(GATEWAY, API_1, 8080, 90),
        entry(HAPROXY, API_1, 8080, 70),
        entry(HAPROXY, "192.0.2.7", 443, 5),
        entry(OUTSIDE, API_1, 8080, 3),
        count=400,
    )
    assert origins(facts) == [
        ("published", "port 5001/tcp (dev1-api-1)", 150),
        ("proxied", "docker-proxy -> dev1-api-1:8080/tcp", 90),
        ("pair", "dev1-haproxy-1 -> dev1-api-1:8080/tcp", 70),
        ("other", "everything else", 90),
    ]


def test_without_docker_proxy_the_hosts_own_connections_are_nobodys(operator: HostFacts) -> None:
    facts = with_table(operator, entry(GATEWAY, API_1, 8080, 9), count=9).model_copy(update={"docker_proxies": ()})
    assert origins(facts) == [("other", "everything else", 9)]


def test_entries_that_came_while_they_were_read_do_not_make_the_rest_negative(operator: HostFacts) -> None:
    assert origins(with_table(operator, entry(HAPROXY, API_1, 8080, 12), count=10)) == [
        ("pair", "dev1-haproxy-1 -> dev1-api-1:8080/tcp", 12)
    ]


def test_the_level_the_bytes_and_the_rate(operator: HostFacts) -> None:
    sizing = ConntrackSizing(writable=(), bytes_per_entry=256, bucket_step=512, memory_bytes=None)
    facts = with_table(operator, count=600, time_wait=300, sizing=sizing)
    facts = facts.model_copy(update={"sysctls": {**facts.sysctls, TIME_WAIT: "120"}})
    found = tracked(facts)
    assert found is not None
    assert (found.fill, found.bytes, found.ended_per_second) == (0.6, 600 * 256, 2.5)


@pytest.mark.parametrize(("seconds", "ended"), [("0", 5), ("", 5), ("120", None)])
def test_a_rate_that_cannot_be_known_is_none(operator: HostFacts, seconds: str, ended: int | None) -> None:
    facts = with_table(operator, count=5, time_wait=ended)
    assert ended_per_second(facts.model_copy(update={"sysctls": {TIME_WAIT: seconds}})) is None


def test_without_conntrack_there_is_no_table(operator: HostFacts) -> None:
    assert tracked(with_table(operator, count=0, maximum=None)) is None
