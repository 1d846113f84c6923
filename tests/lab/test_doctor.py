"""The doctor on a real host: what it names is what is there, and a watch sees who connects once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from operating import Operator

pytestmark = pytest.mark.lab

GATEWAY = "172.17.0.1"
APIS = {f"{GATEWAY}:500{n}": f"dev1-api-{n}" for n in (1, 2, 3)}
# Requests through haproxy, over connections that haproxy keeps to its servers; 20 a second for as long as it takes.
LOAD = """\
import http.client, sys, time
end = time.monotonic() + float(sys.argv[2])
clients = [http.client.HTTPConnection(sys.argv[1], 8080, timeout=5) for _ in range(3)]
while time.monotonic() < end:
    for client in clients:
        client.request("GET", "/")
        client.getresponse().read()
    time.sleep(0.15)
"""
ONCE = "import urllib.request as u, sys; u.urlopen(sys.argv[1], timeout=5).read()"


@pytest.fixture(scope="module")
def host(module_lab_host):
    return module_lab_host(engine="28.5")


@pytest.fixture(scope="module")
def operator(host):
    return Operator(host)


@contextmanager
def load(host, seconds=60):
    client = host.external.popen([sys.executable, "-c", LOAD, host.address, str(seconds)])
    try:
        time.sleep(1.5)
        deadline = time.monotonic() + 20
        # haproxy must have found its servers up, which takes longer on a machine that has other work.
        while not held_connections(host) and time.monotonic() < deadline:
            time.sleep(0.2)
        yield
    finally:
        client.kill()
        client.wait()


def held_connections(host):
    """docker-proxy's connections with haproxy, as `ss` lists them."""
    listed = host.run(["ss", "-Htnp", "state", "established", "src", GATEWAY]).stdout
    return "\n".join(line for line in listed.splitlines() if "docker-proxy" in line)


def from_container(host, name, url):
    netns = f"--net=/proc/{host.container_pid(name)}/ns/net"
    subprocess.run(["nsenter", netns, sys.executable, "-c", ONCE, url], check=True, timeout=20)


def proxies_by_port(host):
    """pid by (port, IPv4?) as the host's own process list tells it."""
    found = {}
    for line in host.run(["ps", "-C", "docker-proxy", "-o", "pid=,args="]).stdout.splitlines():
        pid, *words = line.split()
        options = dict(zip(words[1::2], words[2::2], strict=False))
        found[int(options["-host-port"]), ":" not in options["-host-ip"]] = int(pid)
    return found


def test_the_first_finding_is_haproxy_with_the_processes_that_hold_its_connections(host, operator):
    with load(host):
        shown = operator.json("doctor")
        holders = held_connections(host)

    first = shown["findings"][0]
    assert first["code"] == "through-docker-proxy"
    assert (first["severity"], first["confidence"]) == ("high", "seen")
    assert "haproxy in dev1-haproxy-1" in first["title"]
    pids = proxies_by_port(host)
    ways = {way["to"]: way for way in first["connections"] if way["from"] == "dev1-haproxy-1"}
    assert {to: way["container"] for to, way in ways.items()} == APIS
    for to, way in ways.items():
        assert way["pid"] == pids[int(to.rpartition(":")[2]), True]
    held = [way for way in ways.values() if way["connections"]]
    assert held
    for way in held:
        assert f"pid={way['pid']}," in holders


def test_text_says_the_same_and_the_exit_code_that_there_is_something(operator):
    done = operator.remedy("doctor", "--detailed-exitcode")
    assert done.status == 2
    first = next(line for line in done.stdout.splitlines() if line.startswith("  1 "))
    assert "haproxy in dev1-haproxy-1" in first
    assert all(api in first for api in APIS.values())


def test_a_watch_sees_who_connects_once_and_the_plan_knows_them(host, operator):
    operator.remedy("doctor")  # what was before the watch is not what it sees
    watch = operator.start("doctor", "--observe", "8s", "--format", "json", stderr=subprocess.DEVNULL)
    state = host.root / "var/lib/remedy/observed.json"
    deadline = time.monotonic() + 30
    while not state.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.5)
    from_container(host, "dev1-api-3", f"http://{GATEWAY}:5001/")
    host.run(["python3", "-c", ONCE, "http://127.0.0.1:5002/"])
    host.run(["python3", "-c", ONCE, "http://[::1]:5003/"])  # no rule asks for IPv6's state here: nothing is announced
    status, output = watch.wait()

    assert status == 0
    seen = {(one["from"], one["to"]): one["count"] for one in json.loads(output)["observed"]["consumers"]}
    assert seen["dev1-api-3", f"{GATEWAY}:5001"] == 1
    assert seen["host", "127.0.0.1:5002"] == 1
    assert seen["host", "[::1]:5003"] == 1
    assert seen["dev1-haproxy-1", f"{GATEWAY}:5001"] >= 2  # its health check, every two seconds
    assert state.stat().st_mode & 0o777 == 0o600

    time.sleep(1)
    plan = operator.json("plan")
    assert "watched" in {warning["code"] for warning in plan["warnings"]}
    known = {(path["from"], path["to"]): path["known_by"] for path in plan["paths"]}
    assert "dev1-api-3" in {client for client, _ in known}
    assert any("[::1]:5003" in refusal["what"] for refusal in plan["refusals"])
    assert "Yes, by host for [::1]:5003" in operator.json("doctor")["proxy_needed"]["answer"]


def test_an_interrupted_watch_keeps_what_it_saw(host, operator):
    host.run(["rm", "-f", "/var/lib/remedy/observed.json"])
    watch = operator.start("doctor", "--observe", "1h", "--format", "json", stderr=subprocess.DEVNULL)
    state = host.root / "var/lib/remedy/observed.json"
    deadline = time.monotonic() + 30
    while not state.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(4)
    watch.kill(2)
    status, output = watch.wait()
    assert status == 0
    observed = json.loads(output)["observed"]
    assert 2 < observed["seconds"] < 60
    assert ("dev1-haproxy-1", f"{GATEWAY}:5001") in {(one["from"], one["to"]) for one in observed["consumers"]}


def test_a_bundle_of_a_real_host_can_be_planned_elsewhere(host, operator):
    done = operator.remedy("doctor", "--bundle", "bug.json", check=True)
    assert "Wrote bug.json" in done.stdout + done.stderr
    raw = host.read_file("/root/operator/bug.json")
    bundle = json.loads(raw)
    assert bundle["diagnosis.json"]["findings"][0]["code"] == "through-docker-proxy"
    host.write_file("/root/operator/again.json", json.dumps(bundle["facts.json"]))
    again = operator.json("doctor", "--facts", "again.json")
    assert again["findings"][0]["connections"] == bundle["diagnosis.json"]["findings"][0]["connections"]
    assert operator.remedy("doctor", "--bundle", "bug.json").status == 1
    assert host.read_file("/root/operator/bug.json") == raw
