"""Whoever is seen to use docker-proxy is not cut off unless the spec accepts it by name."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab

SPEC = "/root/remedy.yaml"
OFF = "version: 1\nremedies: {userland_proxy: false}\n"
HOLD = (
    "import socket,sys,time;c=socket.create_connection((sys.argv[1],int(sys.argv[2])));print(1,flush=1);time.sleep(99)"
)
TOPOLOGIES = Path(__file__).parent / "topologies"


@pytest.fixture(scope="module", params=["20.10", "28.5"])
def host(request, module_lab_host):
    return module_lab_host(engine=request.param, topology=TOPOLOGIES / "two-networks.yaml")


@contextmanager
def holding_a_connection(host, address, port, container=None):
    enter = []
    if container is not None:
        pid = host.run(["docker", "inspect", "-f", "{{.State.Pid}}", container]).stdout.strip()
        enter = ["nsenter", "-t", pid, "-n"]
    client = host.popen([*enter, "python3", "-c", HOLD, address, str(port)], stdout=-1)
    assert client.stdout.readline() == b"1\n"
    try:
        yield
    finally:
        client.kill()
        client.wait()


def plan(host, spec=OFF):
    host.write_file(SPEC, spec)
    done = host.run(["remedy", "-c", SPEC, "plan", "--format", "json"], check=False, timeout=60)
    return done.status, json.loads(done.stdout)


def test_an_open_connection_to_ipv6_loopback_is_a_refusal_and_a_reason_for_init(host):
    with holding_a_connection(host, "::1", 5001):
        status, shown = plan(host)
        assert status == 7
        [refusal] = [r for r in shown["refusals"] if r["code"] == "consumer-lost"]
        assert "host" in refusal["what"] and "[::1]:5001" in refusal["what"]
        done = host.run(["remedy", "-c", SPEC, "apply", "--yes"], check=False)
        assert done.status == 7
        assert "[::1]:5001" in done.stdout + done.stderr
        proposal = host.run(["remedy", "init", "-o", "-"]).stdout
        assert "\n  userland_proxy: false" not in proposal
        status, shown = plan(host, OFF + 'accept: [{from: host, to: "[::1]:5001"}]\n')
        assert (status, shown["refusals"]) == (0, [])


def test_a_container_of_another_network_is_refused_by_its_name(host):
    gateway = "172.30.0.1"
    with holding_a_connection(host, gateway, 5002, "stranger"):
        status, shown = plan(host)
        assert status == 7
        assert any("stranger" in refusal["what"] for refusal in shown["refusals"])
        moved = {(p["from"], p["to"]): (p["before"], p["after"]) for p in shown["paths"]}
        assert moved["stranger", f"{gateway}:5002"] == ("docker-proxy", "none")


def test_what_the_plan_says_of_each_path_is_what_happens(host):
    """The same connections, really made: before by docker-proxy, after as predicted."""
    gateway = "172.30.0.1"
    accept = [f'  - {{from: stranger, to: "{gateway}:5002"}}', '  - {from: host, to: "[::1]:5001"}']
    host.write_file(SPEC, OFF + "accept:\n" + "\n".join(accept) + "\n")
    assert reaches(host, "stranger", gateway, 5002)
    assert reaches(host, None, "::1", 5001)
    done = host.run(["remedy", "-c", SPEC, "apply", "--yes"], check=False, timeout=120)
    assert done.status == 0, done.stdout
    assert not reaches(host, "stranger", gateway, 5002)
    assert not reaches(host, None, "::1", 5001)
    assert reaches(host, None, "127.0.0.1", 5001)
    host.run(["remedy", "rollback", "--yes"], timeout=120)
    assert reaches(host, "stranger", gateway, 5002)
    assert reaches(host, None, "::1", 5001)


def reaches(host, container, address, port):
    enter = []
    if container is not None:
        pid = host.run(["docker", "inspect", "-f", "{{.State.Pid}}", container]).stdout.strip()
        enter = ["nsenter", "-t", pid, "-n"]
    url = f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"
    program = "import sys,urllib.request as u;u.urlopen(sys.argv[1],timeout=1).read()"
    return host.run([*enter, "python3", "-c", program, url], check=False).status == 0
