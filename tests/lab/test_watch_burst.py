"""Two hundred containers killed and started at once, as a host does that comes back from something worse."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from conftest import LabHost
from operating import Operator

from remedy.bench.recreations import watched_rules
from remedy.bench.rule_times import RulesSeen
from remedy.lab import Host

pytestmark = pytest.mark.lab

MANY = 200
AT_ONCE = 10
SPEC = """\
version: 1
backends:
  - {project: dev1, service: api, port: 8080}
remedies:
  hairpin: true
"""
LAST_RIGHT_SECONDS = 60.0  # of the slowest, on two cores that start two hundred containers beside other tests


def inspected(host: Host, names: list[str]) -> dict[str, tuple[int, str, float]]:
    """Name -> its published port, its address, and the Unix time of its start."""
    port = '{{(index (index .NetworkSettings.Ports "8080/tcp") 0).HostPort}}'
    form = f"{{{{.Name}}}} {port} {{{{.NetworkSettings.IPAddress}}}} {{{{.State.StartedAt}}}}"
    lines = host.run(["docker", "inspect", "-f", form, *names], timeout=120).stdout.splitlines()
    found = {}
    for name, number, address, started in map(str.split, lines):
        found[name.lstrip("/")] = (int(number), address, datetime.fromisoformat(started).timestamp())
    return found


def first_right(port: int, address: str, started: float, seen: list[RulesSeen]) -> float:
    """Seconds from its start to the rule that leads to it."""
    return next(rules.at for rules in seen if rules.at >= started and rules.rules.get(port) == address) - started


def test_two_hundred_at_once_are_followed_and_nobody_is_taken_for_another(lab_host: LabHost) -> None:
    host = lab_host(engine="28.5", firewall="nft", scale={"api": MANY})
    operator = Operator(host, SPEC)
    operator.remedy("watch", "--install", check=True)
    operator.remedy("apply", "--yes", check=True, timeout=300)
    names = [f"dev1-api-{number}" for number in range(1, MANY + 1)]

    with watched_rules(host) as seen:
        host.run(["docker", "kill", *names], timeout=300)
        groups = [names[first::AT_ONCE] for first in range(AT_ONCE)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda group: host.run(["docker", "start", *reversed(group)], timeout=300), groups))
        containers = inspected(host, names)
        right = {port: address for port, address, _ in containers.values()}
        until = time.monotonic() + LAST_RIGHT_SECONDS
        while seen[-1].rules != right:
            assert time.monotonic() < until, f"{len(seen[-1].rules)} of {MANY} ports have rules"
            time.sleep(0.2)

    moved = {name: address for name, (_, address, _) in containers.items()}
    print(f"{len(set(moved.values()))} addresses, {len(seen)} states of the rules")
    waits = sorted(first_right(port, address, started, seen) for port, address, started in containers.values())
    print(f"right after {waits[MANY // 2]:.2f} s in the median, {waits[MANY * 19 // 20]:.2f} s in nineteen of twenty")
    owner = {address: (name, started) for name, (_, address, started) in containers.items()}
    ports = {port: name for name, (port, _, _) in containers.items()}
    for rules in seen:
        for port, address in rules.rules.items():
            name, started = owner[address]
            assert started > rules.at or name == ports[port], f"port {port} led to {name}, which had started"
    until = time.monotonic() + LAST_RIGHT_SECONDS
    while operator.json("plan")["changes"]:  # hairpin mode comes with the full look, when it is quiet
        assert time.monotonic() < until
    assert operator.json("status")["drift"] == []
