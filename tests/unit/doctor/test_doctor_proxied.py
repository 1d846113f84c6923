"""Who runs through docker-proxy: seen, likely, possible; with the right pids, ports and containers."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address

import doctor_samples as host
import pytest

from remedy.doctor.diagnosis import diagnose
from remedy.facts.model import ConntrackFacts, Observed, ObservedConsumer, Protocol, Watch

CODE = "through-docker-proxy"


@pytest.mark.parametrize("engine", ["20.10", "28.5"])
def test_the_first_finding_on_the_operators_host_is_haproxy_with_pids_ports_and_containers(engine):
    facts = host.operator(engine)
    facts = host.changed(facts, conntrack={"entries": ()})  # nothing is open, nothing was

    first = diagnose(facts).findings[0]

    assert (first.code, first.confidence, first.severity) == (CODE, "likely", "high")
    assert first.title.startswith("haproxy in dev1-haproxy-1 is configured to reach dev1-api-1, dev1-api-2, dev1-api-3")
    assert [(c.from_, c.to, c.pid, c.container, c.container_address) for c in first.connections] == [
        (
            "dev1-haproxy-1",
            f"172.17.0.1:500{n}",
            host.pid_of(facts, 5000 + n),
            f"dev1-api-{n}",
            f"172.17.0.{n + 2}:8080",
        )
        for n in (1, 2, 3)
    ]
    assert "server api/api2 is 172.17.0.1:5002 | /usr/local/etc/haproxy/haproxy.cfg:27" in host.evidence_of(first)
    assert first.spec == "remedies: {userland_proxy: false}"


def test_a_connection_that_docker_proxy_holds_is_seen_and_counted():
    facts = host.with_connections(host.quiet(), host.held(host.quiet(), 5001, count=12))

    finding = host.only(facts, CODE)

    assert (finding.confidence, finding.connections[0].connections) == ("seen", 12)
    assert finding.title == "dev1-haproxy-1 reaches dev1-api-1 through docker-proxy"
    pid = host.pid_of(facts, 5001)
    expected = f"172.17.0.1:5001 -> docker-proxy pid {pid} -> dev1-api-1 (172.17.0.3:8080): 12 connections open"
    assert expected in host.evidence_of(finding)


def test_the_proxys_own_connection_to_the_container_is_nobodys():
    own = host.held(host.quiet(), 5001).model_copy(
        update={"local_port": 51000, "remote_address": ip_address("172.17.0.3"), "remote_port": 8080}
    )
    assert host.found(host.with_connections(host.quiet(), own), CODE) == []


def test_an_entry_that_nothing_translated_was_docker_proxys_and_a_translated_one_was_not():
    entries = (host.tracked(5002, count=40), host.tracked(5003, server=("172.17.0.5", 8080)))
    facts = host.changed(host.quiet(), conntrack={"entries": entries})

    finding = host.only(facts, CODE)

    assert [(c.to, c.tracked) for c in finding.connections] == [("172.17.0.1:5002", 40)]
    assert finding.confidence == "seen"


def test_what_was_seen_stands_above_what_is_configured_and_a_load_balancer_above_others():
    facts = host.operator()
    facts = host.changed(facts, conntrack={"entries": ()})
    stranger = host.held(facts, 5001, client="172.17.0.4", count=99)
    seen_stranger = host.with_connections(facts, stranger)
    both = host.with_connections(facts, stranger, host.held(facts, 5002))

    assert [f.connections[0].from_ for f in host.found(seen_stranger, CODE)] == ["dev1-api-2", "dev1-haproxy-1"]
    assert [f.connections[0].from_ for f in host.found(both, CODE)] == ["dev1-haproxy-1", "dev1-api-2"]


def test_a_client_on_the_hosts_ipv6_loopback_is_told_to_use_ipv4():
    facts = host.with_connections(host.quiet(), host.held(host.quiet(), 5001, client="::1", to="::1"))

    finding = host.only(facts, CODE)

    assert (finding.connections[0].from_, finding.connections[0].to) == ("host", "[::1]:5001")
    assert "IPv4" in finding.remedy
    assert finding.spec is None


def test_a_client_that_would_be_cut_off_is_told_what_saves_it():
    finding = host.only(host.cross_network(), CODE)
    assert "would be cut off" in finding.remedy
    assert "docker network connect" in finding.remedy
    assert finding.spec is None


@pytest.mark.parametrize(
    ("environment", "extra_hosts"),
    [
        ({"UPSTREAM": "http://172.17.0.1:5001/"}, ()),
        ({"DB_HOST": "172.17.0.1", "DB_PORT": "5001"}, ()),
        ({"UPSTREAM": "tcp://host.docker.internal:5001"}, ("host.docker.internal:host-gateway",)),
        ({"UPSTREAM": "outer:5001"}, ("outer:172.17.0.1",)),
    ],
)
def test_an_environment_that_names_a_published_port_is_a_possible_client(environment, extra_hosts):
    facts = host.with_container(host.quiet(), "dev1-api-3", environment=environment, extra_hosts=extra_hosts)

    finding = host.only(facts, CODE)

    assert finding.confidence == "possible"
    assert finding.title == "dev1-api-3 may reach dev1-api-1 through docker-proxy"
    assert f"environment variable {next(iter(environment))}" in host.evidence_of(finding)


@pytest.mark.parametrize("value", ["172.17.0.3:8080", "10.9.9.9:5001", "127.0.0.1:5001", "172.17.0.1:9999", "x:5001"])
def test_an_environment_that_names_something_else_is_nothing(value):
    facts = host.with_container(host.quiet(), "dev1-api-3", environment={"UPSTREAM": value})
    assert host.found(facts, CODE) == []


@pytest.mark.parametrize(
    ("environment", "extra_hosts", "what"),
    [
        ({}, ("host.docker.internal:host-gateway",), "extra host host.docker.internal is 172.17.0.1"),
        ({"HOST_IP": "172.17.0.1"}, (), "environment variable HOST_IP is 172.17.0.1"),
    ],
)
def test_a_container_that_knows_the_host_without_a_port_may_use_any(environment, extra_hosts, what):
    facts = host.with_container(host.quiet(), "dev1-api-3", environment=environment, extra_hosts=extra_hosts)

    finding = host.only(facts, "knows-the-host")

    assert what in host.evidence_of(finding)
    assert "--observe" in finding.remedy
    assert host.found(facts, CODE) == []


def test_whom_a_watch_saw_is_seen():
    facts = host.quiet()
    at = facts.gathered_at
    seen = ObservedConsumer(
        client="dev1-api-2",
        address=ip_address("172.17.0.4"),
        to_address=host.GATEWAY,
        to_port=5003,
        protocol=Protocol.TCP,
        first_seen=at,
        last_seen=at,
        count=3,
    )
    watch = Watch(begun=at - timedelta(hours=1), ended=at, boot_id="b")
    facts = host.changed(facts, observed=Observed(watches=(watch,), consumers=(seen,)))

    finding = host.only(facts, CODE)

    assert (finding.confidence, finding.connections[0].observed) == ("seen", 3)
    assert diagnose(facts).observed.seconds == 3600


def test_without_docker_proxy_nobody_runs_through_it():
    facts = host.capture("28.5.2-iptables-proxy-off")
    assert host.found(facts, CODE) == []


def test_a_host_of_which_nothing_was_read_is_no_error():
    facts = host.operator()
    nothing = ConntrackFacts(count=None, maximum=None, buckets=None, entries=(), entries_complete=False)
    bare = host.changed(facts, namespaces=(), docker_proxies=(), conntrack=nothing, bridge_ports=(), sysctls={})
    assert host.codes(diagnose(bare)) == []
    assert diagnose(bare).proxy_needed.needed is None
