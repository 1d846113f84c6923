"""The conntrack table, against what conntrack(8) printed of the same kernel at the same moment."""

from __future__ import annotations

import re
from collections import Counter
from ipaddress import ip_address

import pytest
from recorded_facts import text

from remedy.facts.conntrack import EndedConnections, find_entries, read_conntrack
from remedy.facts.interest import Interest, haproxy_targets
from remedy.facts.model import ConntrackEntry, HaproxyFacts, HaproxyServer

RECORDED = "recorded-28.5"
LINE = re.compile(
    r"(?P<protocol>tcp|udp) +\d+ \d+ (?P<state>[A-Z_]+ )?(?P<unreplied_early>\[UNREPLIED\] )?"
    r"src=(?P<src>\S+) dst=(?P<dst>\S+) sport=(?P<sport>\d+) dport=(?P<dport>\d+) (?P<unreplied>\[UNREPLIED\] )?"
    r"src=(?P<rsrc>\S+) dst=(?P<rdst>\S+) sport=(?P<rsport>\d+) dport=(?P<rdport>\d+)"
)
Key = tuple[str, str, str, int, str, int, str, str | None, bool]

HOST = ("127.0.0.1", "172.17.0.1", "172.30.1.1", "172.30.2.1", "::1", "fd00:6::1")
CONTAINERS = (("172.17.0.3", 8080), ("172.17.0.4", 5353), ("172.30.2.2", 8080), ("fd00:6::2", 8080))
INTEREST = Interest(
    frozenset({5001, 5003, 5005}),
    frozenset(map(ip_address, HOST)),
    frozenset((ip_address(address), port) for address, port in CONTAINERS),
)


def recorded_datagrams() -> list[bytes]:
    return [bytes.fromhex(line) for line in text(RECORDED, "conntrack.hex").splitlines()]


def printed_flows() -> Counter[Key]:
    flows = {line for line in text(RECORDED, "conntrack.txt").splitlines() if LINE.match(line)}
    counted: Counter[Key] = Counter()
    for line in flows:
        match = LINE.match(line)
        assert match
        state = (match["state"] or "").strip() or None
        key = (match["protocol"], match["src"], match["dst"], int(match["dport"]), match["rsrc"])
        counted[(*key, int(match["rsport"]), match["rdst"], state, match["unreplied"] is not None)] += 1
    return counted


def key(entry: ConntrackEntry) -> Key:
    return (
        entry.protocol,
        str(entry.source),
        str(entry.destination),
        entry.destination_port or 0,
        str(entry.reply_source),
        entry.reply_source_port or 0,
        str(entry.reply_destination),
        entry.state,
        entry.unreplied,
    )


def test_every_flow_that_conntrack_prints_is_found_and_counted() -> None:
    entries, complete = find_entries(recorded_datagrams(), INTEREST)
    assert complete
    assert {key(entry): entry.count for entry in entries} == printed_flows()


def test_the_recording_has_both_families_both_protocols_and_dnat() -> None:
    entries, _ = find_entries(recorded_datagrams(), INTEREST)
    assert {entry.protocol for entry in entries} == {"tcp", "udp"}
    assert {entry.source.version for entry in entries} == {4, 6}
    dnat = [entry for entry in entries if entry.destination != entry.reply_source]
    assert {(str(entry.reply_source), entry.reply_source_port) for entry in dnat} == {
        ("172.17.0.3", 8080),
        ("172.17.0.4", 5353),
    }


def test_the_clients_port_is_the_first_ones() -> None:
    entries, _ = find_entries(recorded_datagrams(), INTEREST)
    for entry in entries:
        assert entry.source_port == entry.reply_destination_port
        assert (entry.source_port or 0) > 1024


def test_other_flows_are_not_kept() -> None:
    elsewhere = Interest(frozenset({5001}), frozenset({ip_address("10.98.0.2")}))
    assert find_entries(recorded_datagrams(), elsewhere) == ((), True)


def test_a_datagram_cut_anywhere_is_no_crash() -> None:
    datagram = recorded_datagrams()[0]
    for length in range(0, len(datagram), 7):
        find_entries([datagram[:length]], INTEREST)


def test_more_flows_than_the_limit_are_said_to_be_incomplete() -> None:
    entries, complete = find_entries(recorded_datagrams(), INTEREST, limit=2)
    assert len(entries) == 2
    assert not complete


def test_ended_connections_are_counted_in_the_whole_table_and_every_flow_passed_on() -> None:
    ended = EndedConnections()
    entries, _ = find_entries(ended.counted(recorded_datagrams()), INTEREST)
    assert entries == find_entries(recorded_datagrams(), INTEREST)[0]
    assert ended.count >= sum(entry.count for entry in entries if entry.state == "TIME_WAIT") > 0


def test_without_ports_of_interest_nothing_is_taken_apart() -> None:
    assert find_entries(recorded_datagrams(), Interest(frozenset())) == ((), True)


def test_a_host_without_connection_tracking_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remedy.facts.conntrack.dump", lambda *_: pytest.fail("asking loads the module"))
    facts = read_conntrack({}, INTEREST)
    assert (facts.count, facts.maximum, facts.entries) == (None, None, ())


def test_haproxys_servers_count_by_address_and_by_container_name() -> None:
    from recorded_facts import containers

    by_name = containers("28.5.2-iptables-proxy-on-variant")
    servers = [("172.17.0.1", 5001), ("web2", 8082), ("elsewhere.example", 80), ("10.0.0.1", None)]
    haproxy = HaproxyFacts(
        container_id=None,
        unit="haproxy.service",
        config_files=(),
        servers=tuple(
            HaproxyServer(proxy="b", name="s", host=host, port=port, file="f", line=1) for host, port in servers
        ),
    )
    web2 = by_name["web2"].endpoints[0].ipv4
    assert web2
    assert haproxy_targets([haproxy], list(by_name.values())) == {
        (ip_address("172.17.0.1"), 5001),
        (web2.ip, 8082),
    }
