"""notrack on real engines: haproxy's connections leave no entry, everybody else's are tracked, and all comes back."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from conftest import LabHost
from operating import Operator
from state import differences, host_state

from remedy.facts.flows import TCP, Ends, read_between
from remedy.facts.model import Address, HostFacts
from remedy.firewall.untracked_pairs import Key, present_pairs
from remedy.host.namespaces import run_in_network_namespace
from remedy.lab import Host
from remedy.spec.models import HostPort
from remedy.verify.connect import connect

pytestmark = pytest.mark.lab

HOSTS = [("28.5", "nft"), ("20.10", "legacy")]
BALANCER, NETWORK = "dev1-haproxy-1", "remedy-lb"
API = ("dev1-api-1", "dev1-api-2", "dev1-api-3")
CONNECTIONS = int(os.environ.get("NOTRACK_CONNECTIONS", "10000"))
SPEC = """\
version: 1
load_balancer: dev1-haproxy-1
backends: [{containers: [dev1-api-1, dev1-api-2, dev1-api-3], port: 8080}]
remedies: {user_network: remedy-lb, notrack: true}
policy: {accept_pinned: true}
"""
CONFIG = "/srv/dev1/haproxy.cfg"
SWITCHES = [f"net.bridge.bridge-nf-call-{name}" for name in ("iptables", "ip6tables")]


@pytest.fixture(scope="module", params=HOSTS, ids="-".join)
def operator(request: pytest.FixtureRequest, module_lab_host: LabHost) -> Operator:
    """A host whose haproxy makes a connection for every request, and whose bridges call netfilter."""
    engine, firewall = request.param
    host = module_lab_host(engine, firewall)
    host.run(["sysctl", "-q", "-w", *(f"{switch}=1" for switch in SWITCHES)])
    text = host.read_file(CONFIG).decode()
    host.write_file(CONFIG, text.replace("    mode http\n", "    mode http\n    option httpclose\n", 1))
    host.run(["docker", "kill", "-s", "USR2", BALANCER])
    operator = Operator(host, SPEC)
    operator.wait_for_traffic({"traffic": {}})
    return operator


@pytest.fixture
def applied(operator: Operator) -> Iterator[Operator]:
    before = host_state(operator.host)
    operator.remedy("apply", "--yes", check=True)
    yield operator
    operator.remedy("rollback", "--yes", check=True)
    assert differences(before, host_state(operator.host)) == []


def facts_of(host: Host) -> HostFacts:
    return HostFacts.model_validate_json(host.run(["remedy", "facts"], timeout=60).stdout)


def pairs(host: Host) -> tuple[Key, ...]:
    return present_pairs(facts_of(host).firewall)


def entries(host: Host, keys: tuple[Key, ...]) -> Counter[Address]:
    """The conntrack entries of each server with this client."""
    ends = [Ends(TCP, client, server, port) for _, client, server, port in keys]
    found = run_in_network_namespace(host.init_pid, lambda: list(read_between(ends)))
    return Counter(one.server for one, _ in found)


def connections_made(host: Host) -> int:
    """How often haproxy has connected to a server of `api`."""
    told = host.run(
        ["docker", "exec", BALANCER, "sh", "-c", "echo show stat | socat - /var/run/haproxy.sock"], check=False
    )
    lines = [line.split(",") for line in told.stdout.strip().splitlines()]
    column = lines[0].index("connect")
    return sum(int(line[column]) for line in lines if line[0].endswith("api") and line[1] == "BACKEND")


def load(host: Host, connections: int) -> None:
    """Requests through haproxy, from outside, until it has made so many connections more."""
    wanted = connections_made(host) + connections
    deadline = time.monotonic() + 300
    while connections_made(host) < wanted:
        assert time.monotonic() < deadline
        done = subprocess.run(
            ["nsenter", f"--net={host.external.netns_path}", "wrk", "-t1", "-c16", "-d2s", f"http://{host.address}:8080/"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "Non-2xx" not in done.stdout, done.stdout


def test_haproxys_connections_leave_no_entry_and_everybody_else_is_served(applied: Operator) -> None:
    host = applied.host
    keys = pairs(host)
    assert len(keys) == len(API)

    load(host, CONNECTIONS)

    assert entries(host, keys) == {}
    told = applied.json("verify")
    assert [probe for probe in told["probes"] if probe["before"] is False] == []
    assert [(pair["client"], pair["entries"]) for pair in told["untracked"]] == [(BALANCER, 0)] * len(API)
    assert {pair["server"] for pair in told["untracked"]} == set(API)
    status = applied.json("status")
    assert status["drift"] == []
    assert [pair["entries"] for pair in status["untracked"]] == [0] * len(API)
    assert sum(pair["connections"] for pair in status["untracked"]) > 0
    assert applied.json("plan")["actions"] == []
    # Published ports from outside, by DNAT, to the very same servers.
    for port in (5001, 5002, 5003, 8080):
        answer = host.external.run(["curl", "-s", "-m", "3", f"http://{host.address}:{port}/"]).stdout
        assert "src=" in answer
    # Another container to the same server is not that pair.
    server = keys[0][2]
    other = next(key[2] for key in keys if key[2] != server)
    name = next(pair["server"] for pair in told["untracked"] if pair["to"].startswith(f"{other}:"))
    pid = host.container_pid(name)
    assert run_in_network_namespace(pid, lambda: connect(HostPort(address=server, port=8080), "/")).worked
    assert entries(host, (("tcp", other, server, 8080),)) == {server: 1}
    path = applied.json("path", BALANCER, f"{server}:8080")
    assert (path["reachable"], path["via"], path["conntrack_entries"]) == (True, "direct", 0)
    assert "keeps conntrack from seeing it" in json.dumps(path["steps"])


def test_entries_from_before_are_deleted_alone_and_an_open_connection_lives_on(operator: Operator) -> None:
    host = operator.host
    before = host_state(host)
    two = SPEC.replace(", notrack: true", "")
    host.write_file("/root/operator/two.yaml", two)
    operator.remedy("apply", "-c", "two.yaml", "--yes", check=True)
    load(host, 200)
    facts = facts_of(host)
    address = {c.name: e.ipv4.ip for c in facts.containers for e in c.endpoints if e.network_name == NETWORK and e.ipv4}
    keys = tuple(("tcp", address[BALANCER], address[name], 8080) for name in API)
    assert sum(entries(host, keys).values()) > 0
    foreign = ("tcp", address[API[1]], address[API[0]], 8080)
    pid = host.container_pid(API[1])
    assert run_in_network_namespace(pid, lambda: connect(HostPort(address=address[API[0]], port=8080), "/")).worked

    operator.remedy("apply", "--yes", check=True)

    assert entries(host, keys) == {}
    assert entries(host, (foreign,)) == {address[API[0]]: 1}
    operator.remedy("rollback", "--yes", check=True)
    operator.remedy("rollback", "--yes", check=True)
    assert differences(before, host_state(host)) == []


def test_what_nat_needs_is_refused_and_what_no_bridge_shows_is_not_written(operator: Operator) -> None:
    host = operator.host
    host.write_file("/root/operator/alone.yaml", SPEC.replace("user_network: remedy-lb, ", ""))
    refused = operator.remedy("apply", "-c", "alone.yaml", "--yes")
    assert refused.status == 7
    assert "docker-proxy" in refused.stderr
    assert "user_network" in refused.stderr

    host.run(["sysctl", "-q", "-w", *(f"{switch}=0" for switch in SWITCHES)])
    try:
        plan = operator.json("plan")
        assert "write_rules" not in [action["kind"] for action in plan["actions"]]
        assert "notrack-not-needed" in [warning["code"] for warning in plan["warnings"]]
    finally:
        host.run(["sysctl", "-q", "-w", *(f"{switch}=1" for switch in SWITCHES)])


def test_a_kill_at_any_record_is_recovered_from(operator: Operator) -> None:
    host = operator.host
    before = host_state(host)
    for record in ("intent notrack_rules", "done notrack_rules", "intent forget_flows"):
        running = operator.apply_until(record)
        running.kill()
        running.wait()
        operator.remedy("rollback", "--yes", check=True)
        assert differences(before, host_state(host)) == []
    operator.remedy("apply", "--yes", check=True)
    runs = operator.start("rollback", "--yes")
    operator.wait_for("reverting notrack_rules", running=runs)
    runs.kill()
    runs.wait()
    operator.remedy("rollback", "--yes", check=True)
    assert differences(before, host_state(host)) == []
