"""`remedy path` on a real host: what it says of a connection is what happens when the connection is made."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from operating import Operator

from remedy.lab import Host

pytestmark = pytest.mark.lab

HAPROXY, API = "dev1-haproxy-1", "dev1-api-1"
GATEWAY = "172.17.0.1"
LOOPBACK = ("127.0.0.1:5001", "[::1]:5001")
VERDICT = ("reachable", "via", "by", "source_seen", "userspace_copies", "conntrack_entries", "failure")
ANSWER = re.compile(r"name=(\S+) src=(\S+) ")


@pytest.fixture(scope="module")
def operator(module_lab_host) -> Operator:
    return Operator(module_lab_host(engine="28.5", firewall="nft", topology="operator"))


def path(operator: Operator, source: str, to: str, *options: str) -> dict[str, Any]:
    done = operator.remedy("path", source, to, "--format", "json", *options)
    assert done.status == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def connections(host: Host) -> list[tuple[str, str]]:
    """Who connects where: every kind of client, and ways that work, are refused and are dropped."""
    api = host.docker().containers.get(API).attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    return [
        (HAPROXY, f"{GATEWAY}:5001"),
        (HAPROXY, f"{host.address}:5002"),
        (HAPROXY, f"{api}:8080"),
        (HAPROXY, f"{GATEWAY}:9"),
        (API, f"{GATEWAY}:5001"),
        ("host", "127.0.0.1:5001"),
        ("host", "[::1]:5001"),
        ("host", f"{GATEWAY}:5003"),
        ("host", f"[{host.address6}]:5001"),
        ("external", f"{host.address}:5001"),
        ("external", f"[{host.address6}]:5001"),
        ("external", f"{host.address}:9"),
    ]


def really(host: Host, source: str, to: str) -> tuple[str, str] | None:
    """The name and the client's address that the server tells; None: there is no answer."""
    curl = ["curl", "-sgm", "2", f"http://{to}/"]
    match source:
        case "external":
            done = host.external.run(curl, check=False)
        case "host":
            done = host.run(curl, check=False)
        case _:
            pid = host.run(["docker", "inspect", "-f", "{{.State.Pid}}", source]).stdout.strip()
            done = host.run(["nsenter", "-t", pid, "-n", *curl], check=False)
    told = ANSWER.search(done.stdout)
    return (told[1], told[2]) if told else None


def assert_it_is_so(operator: Operator) -> None:
    for source, to in connections(operator.host):
        client = operator.host.external.address6 if "[" in to else operator.host.external.address
        said = path(operator, source, to, *(["--client", client] if source == "external" else []))
        seen = really(operator.host, source, to)
        assert said["reachable"] is (seen is not None), (source, to, said, seen)
        if seen is not None:
            assert (said["by"], said["source_seen"]) == seen, (source, to, said)


def listening_proxy(host: Host, port: int) -> int:
    found = host.run(["pgrep", "-f", f"docker-proxy .*-host-ip 0.0.0.0 -host-port {port} "]).stdout.split()
    assert len(found) == 1
    return int(found[0])


def test_what_it_says_is_what_happens_before_and_after_an_apply(operator: Operator) -> None:
    host = operator.host
    try:
        before = path(operator, HAPROXY, f"{GATEWAY}:5001")
        assert (before["via"], before["userspace_copies"], before["by"]) == ("docker-proxy", 1, API)
        assert f"docker-proxy pid {listening_proxy(host, 5001)}" in [step["where"] for step in before["steps"]]
        assert_it_is_so(operator)
        predicted = {to: path(operator, "host", to, "--after")["after"] for to in LOOPBACK}
        predicted[f"{GATEWAY}:5001"] = path(operator, HAPROXY, f"{GATEWAY}:5001", "--after")["after"]

        operator.remedy("apply", "--yes", check=True)

        after = path(operator, HAPROXY, f"{GATEWAY}:5001")
        assert (after["via"], after["userspace_copies"], after["by"]) == ("dnat", 0, API)
        for to, foreseen in predicted.items():
            found = path(operator, "host" if to in LOOPBACK else HAPROXY, to)
            assert {key: foreseen[key] for key in VERDICT} == {key: found[key] for key in VERDICT}, to
        assert_it_is_so(operator)
    finally:
        operator.remedy("rollback", "--yes", "--force")


def test_the_same_answer_comes_from_the_facts_file_without_docker(operator: Operator) -> None:
    operator.remedy("facts", "-o", "facts.json", check=True)
    without_docker = {"DOCKER_HOST": "unix:///nowhere.sock"}
    done = operator.remedy("--facts", "facts.json", "path", HAPROXY, f"{GATEWAY}:5001", env=without_docker)

    assert done.status == 0
    assert done.stdout == operator.remedy("path", HAPROXY, f"{GATEWAY}:5001", "--facts", "facts.json").stdout
    assert done.stdout.startswith(f"{HAPROXY} reaches {GATEWAY}:5001 through docker-proxy; {API} answers.\n")
