"""What is told of untracked pairs: who they are, what they say to each other, and what conntrack has of it."""

from __future__ import annotations

import gzip
from ipaddress import ip_address
from pathlib import Path

import pytest

from remedy.facts.model import Connection, ConntrackEntry, FirewallBackend, HostFacts
from remedy.firewall.ruleset import Ruleset, UntrackedPair
from remedy.firewall.untracked_pairs import of_today, present_pairs
from remedy.paths.hypothesis import with_ruleset
from remedy.paths.untracked import untracked_traffic

DATA = Path(__file__).parents[1] / "plan" / "data"


@pytest.fixture(params=["operator-20.10", "operator-28.5"])
def facts(request: pytest.FixtureRequest) -> HostFacts:
    raw = gzip.decompress((DATA / f"facts-{request.param}.json.gz").read_bytes())
    known = HostFacts.model_validate_json(raw)
    ends = {c.name: e.ipv4.ip for c in known.containers for e in c.endpoints if e.ipv4 is not None}
    pair = UntrackedPair.model_validate(
        {
            "protocol": "tcp",
            "client_address": ends["dev1-haproxy-1"],
            "server_address": ends["dev1-api-1"],
            "server_port": 8080,
            "bridge": "docker0",
            "client": "dev1-haproxy-1",
            "server": "dev1-api-1",
            "network": "bridge",
        }
    )
    assert of_today((pair,), known) == (pair,)
    return with_ruleset(known, Ruleset(name="notrack", untracked=(pair,)))


def test_the_pairs_are_read_from_the_rules_of_either_writer(facts: HostFacts) -> None:
    (key,) = present_pairs(facts.firewall)
    (traffic,) = untracked_traffic(facts)

    assert key == ("tcp", traffic.client_address, ip_address(traffic.to.split(":")[0]), 8080)
    assert (traffic.client, traffic.server) == ("dev1-haproxy-1", "dev1-api-1")
    assert (traffic.connections, traffic.entries) == (0, 0)


def test_open_and_ended_connections_are_counted_once_and_entries_are_told(facts: HostFacts) -> None:
    (_, client, server, port) = present_pairs(facts.firewall)[0]
    there = {"local_address": client, "local_port": 40000, "remote_address": server, "remote_port": port}
    back = {"local_address": server, "local_port": port, "remote_address": client, "remote_port": 40000}
    lists = {
        "dev1-haproxy-1": [Connection(**there, state="ESTAB", count=2)],
        "dev1-api-1": [Connection(**back, state="ESTAB", count=2), Connection(**back, state="TIME-WAIT", count=5)],
    }
    names = {c.id: c.name for c in facts.containers}
    spaces = tuple(
        space.model_copy(update={"connections": tuple(lists.get(names.get((space.containers or ("",))[0], ""), ()))})
        for space in facts.namespaces
    )
    entry = ConntrackEntry(
        protocol="tcp", source=client, source_port=40000, destination=server, destination_port=port,
        reply_source=server, reply_source_port=port, reply_destination=client, reply_destination_port=40000,
        state="ESTABLISHED", count=3,
    )  # fmt: skip
    seen = facts.conntrack.model_copy(update={"entries": (entry,)})

    (traffic,) = untracked_traffic(facts.model_copy(update={"namespaces": spaces, "conntrack": seen}))

    assert (traffic.connections, traffic.entries) == (7, 3)


def test_an_address_of_nobody_is_told_as_such(facts: HostFacts) -> None:
    gone = tuple(c for c in facts.containers if c.name != "dev1-api-1")

    (traffic,) = untracked_traffic(facts.model_copy(update={"containers": gone}))

    assert traffic.server is None


def test_without_rules_there_is_nothing_to_tell(facts: HostFacts) -> None:
    assert facts.firewall.backend in tuple(FirewallBackend)
    assert untracked_traffic(with_ruleset(facts, Ruleset(name="notrack"))) == ()
