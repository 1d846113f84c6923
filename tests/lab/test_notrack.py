"""notrack on real engines: haproxy's connections leave no entry, everybody else's are tracked, and all comes back."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter

import pytest
from conftest import LabHost
from operating import Operator
from state import differences, host_state

from remedy.facts.flows import TCP, Ends, read_between
from remedy.facts.model import Address, HostFacts
from remedy.facts.own_tables import read_own_table
from remedy.firewall.untracked_pairs import Key, present_pairs
from remedy.host.namespaces import run_in_network_namespace
from remedy.lab import Host
from remedy.spec.models import HostPort
from remedy.verify.connect import connect

pytestmark = pytest.mark.lab

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


def operator_of(host: Host) -> Operator:
    """Of a host whose haproxy makes a connection for every request, and whose bridges call netfilter."""
    host.run(["sysctl", "-q", "-w", *(f"{switch}=1" for switch in SWITCHES)])
    text = host.read_file(CONFIG).decode()
    host.write_file(CONFIG, text.replace("    mode http\n", "    mode http\n    option httpclose\n", 1))
    host.run(["docker", "kill", "-s", "USR2", BALANCER])
    return Operator(host, SPEC)


def facts_of(host: Host) -> HostFacts:
    return HostFacts.model_validate_json(host.run(["remedy", "facts"], timeout=60).stdout)


def pairs(host: Host) -> tuple[Key, ...]:
    return present_pairs(facts_of(host).firewall)


def entries(host: Host, keys: tuple[Key, ...]) -> Counter[Address]:
    """The conntrack entries of each server with this client."""
    ends = [Ends(TCP, client, server, port) for _, client, server, port in keys]
    found = run_in_network_namespace(host.init_pid, lambda: list(read_between(ends)))
    return Counter(one.server for one, _ in found)


def entries_inside(host: Host) -> dict[str, int]:
    """How many entries the containers' own tables have, whatever of."""
    pids = {name: host.container_pid(name) for name in (BALANCER, *API)}
    return {name: run_in_network_namespace(pid, lambda: read_own_table().entries or 0) for name, pid in pids.items()}


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


def addresses(host: Host) -> dict[str, Address]:
    """Who has which address on the network."""
    ends = [(c.name, e) for c in facts_of(host).containers for e in c.endpoints if e.network_name == NETWORK]
    return {name: end.ipv4.ip for name, end in ends if end.ipv4 is not None}


def check_untracked(operator: Operator) -> None:
    """No entry of haproxy's connections, others' are tracked, and published ports are served from outside."""
    host = operator.host
    keys, own = pairs(host), addresses(host)
    assert {(client, server) for _, client, server, _ in keys} == {(own[BALANCER], own[name]) for name in API}
    inside = entries_inside(host)
    load(host, CONNECTIONS)
    assert entries(host, keys) == {}
    # Nor in the tables that the containers have of their own; the engine's DNS, by which haproxy asks, has a few there.
    assert max(now - inside[name] for name, now in entries_inside(host).items()) < 50
    status = operator.json("status")
    told = status["untracked"]
    assert sum(pair["connections"] for pair in told) > 0, "while requests flow"
    assert sum(pair["entries"] for pair in told) == 0
    assert {table["container"]: table["kept_empty"] for table in status["own_tables"]} == dict.fromkeys(inside, True)
    resolved = host.run(["docker", "exec", BALANCER, "getent", "hosts", API[0]], check=False)
    assert str(own[API[0]]) in resolved.stdout, "names are found as before"
    for port in (5001, 5002, 5003, 8080):
        assert "src=" in host.external.run(["curl", "-s", "-m", "3", f"http://{host.address}:{port}/"]).stdout
    # A neighbour of that server is not that pair.
    to = HostPort(address=own[API[0]], port=8080)
    pid = host.container_pid(API[1])
    assert run_in_network_namespace(pid, lambda: connect(to, "/")).worked
    assert entries(host, (("tcp", own[API[1]], own[API[0]], 8080),)) == {own[API[0]]: 1}


def test_rewired_and_untracked_by_one_plan_and_put_back(lab_host: LabHost) -> None:
    operator = operator_of(lab_host("28.5", "nft"))
    host = operator.host
    before = host_state(host)
    operator.remedy("apply", "--yes", check=True)

    check_untracked(operator)

    told = operator.json("verify")
    assert [probe for probe in told["probes"] if probe["before"] is False] == []
    assert {(pair["client"], pair["server"]) for pair in told["untracked"]} == {(BALANCER, name) for name in API}
    assert [pair["entries"] for pair in told["untracked"]] == [0] * len(API)
    assert operator.json("status")["drift"] == []
    assert operator.json("plan")["actions"] == []
    path = operator.json("path", BALANCER, f"{addresses(host)[API[0]]}:8080")
    assert (path["reachable"], path["via"], path["conntrack_entries"]) == (True, "direct", 0)
    assert "keeps conntrack from seeing it" in json.dumps(path["steps"])
    operator.remedy("rollback", "--yes", check=True)
    assert differences(before, host_state(host)) == []


def test_a_network_first_then_its_pairs_with_a_kill_in_between(lab_host: LabHost) -> None:
    operator = operator_of(lab_host("20.10", "legacy"))
    host = operator.host
    host.write_file("/root/operator/alone.yaml", SPEC.replace("user_network: remedy-lb, ", ""))
    host.write_file("/root/operator/network.yaml", SPEC.replace(", notrack: true", ""))
    before = host_state(host)
    refused = operator.remedy("apply", "-c", "alone.yaml", "--yes")
    assert refused.status == 7
    assert "docker-proxy" in refused.stderr
    assert "user_network" in refused.stderr

    operator.remedy("apply", "-c", "network.yaml", "--yes", check=True)
    load(host, 200)
    own = addresses(host)
    keys = tuple(("tcp", own[BALANCER], own[name], 8080) for name in API)
    assert sum(entries(host, keys).values()) > 0
    neighbour = ("tcp", own[API[2]], own[API[1]], 8080)
    pid = host.container_pid(API[2])
    assert run_in_network_namespace(pid, lambda: connect(HostPort(address=own[API[1]], port=8080), "/")).worked

    host.run(["sysctl", "-q", "-w", *(f"{switch}=0" for switch in SWITCHES)])
    plan = operator.json("plan")
    assert plan["actions"] == []
    assert "notrack-not-needed" in [warning["code"] for warning in plan["warnings"]]
    host.run(["sysctl", "-q", "-w", *(f"{switch}=1" for switch in SWITCHES)])

    networked = host_state(host)
    running = operator.apply_until("intent forget_flows")
    running.kill()
    running.wait()
    operator.remedy("rollback", "--yes", check=True)
    assert differences(networked, host_state(host)) == []

    operator.remedy("apply", "--yes", check=True)
    # Deleted one by one: the neighbour's stays.
    assert entries(host, keys) == {}
    assert entries(host, (neighbour,)) == {own[API[1]]: 1}
    check_untracked(operator)
    for _ in range(2):
        operator.remedy("rollback", "--yes", check=True)
    assert differences(before, host_state(host)) == []
