"""The hairpin remedy on real engines: containers go around docker-proxy without a restart, and back."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest

from remedy.lab import ENGINES, FIREWALLS

pytestmark = pytest.mark.lab

SPEC = """\
version: 1
load_balancer: dev1-haproxy-1
backends:
  - {project: dev1, service: api, port: 8080}
remedies:
  hairpin: {loopback: true}
accept_pinned: true
"""


@pytest.fixture(scope="module", params=[(e, f) for e in ENGINES for f in FIREWALLS], ids=lambda p: "-".join(p))
def host(request, module_lab_host):
    engine, firewall = request.param
    host = module_lab_host(engine=engine, firewall=firewall)
    host.write_file("/root/remedy.yaml", SPEC)
    return host


@contextmanager
def docker_proxies_stopped(host):
    """A docker-proxy that is stopped answers nobody: what still works does not use it."""
    pids = host.run(["pgrep", "docker-proxy"]).stdout.split()
    host.run(["kill", "-STOP", *pids])
    try:
        yield
    finally:
        host.run(["kill", "-CONT", *pids])


def fetch(host, url, container=None):
    enter = ["nsenter", "-t", str(container_pid(host, container)), "-n"] if container else []
    program = "import sys,urllib.request as u;print(u.urlopen(sys.argv[1],timeout=1).read().decode())"
    done = host.run([*enter, "python3", "-c", program, url], check=False)
    return done.stdout.strip() if done.status == 0 else None


def container_pid(host, name):
    return int(host.run(["docker", "inspect", "-f", "{{.State.Pid}}", name]).stdout)


def remedy(host, *arguments):
    return host.run(["remedy", "-c", "/root/remedy.yaml", *arguments], check=False, timeout=120)


def rules(host):
    kind = "legacy" if host.firewall == "legacy" else "nft"
    saved = host.run([f"iptables-{kind}-save"]).stdout.splitlines()
    tables = host.run(["nft", "list", "tables"]).stdout
    return "\n".join(line.partition(" [")[0] for line in saved if not line.startswith("#")) + tables


def test_containers_and_loopback_go_around_docker_proxy_and_back(host):
    with docker_proxies_stopped(host):
        assert fetch(host, "http://172.17.0.1:5001/", "dev1-haproxy-1") is None

    done = remedy(host, "apply", "--yes", "--format", "json")
    assert done.status == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["result"] == "applied"
    assert "emedy" in rules(host).lower()
    with docker_proxies_stopped(host):
        for number in (1, 2, 3):
            answer = fetch(host, f"http://172.17.0.1:500{number}/", "dev1-haproxy-1")
            assert answer is not None and f"name=dev1-api-{number}" in answer
            assert "src=172.17.0.1" in answer  # as with docker-proxy: the server sees the gateway
        assert fetch(host, f"http://{host.address}:5001/", "dev1-haproxy-1") is not None
        assert fetch(host, "http://172.17.0.1:5001/", "dev1-api-1") is not None  # itself
        assert fetch(host, "http://127.0.0.1:5001/") is not None

    assert remedy(host, "plan", "--detailed-exitcode").status == 0
    assert remedy(host, "status", "--detailed-exitcode").status == 0
    assert remedy(host, "rollback", "--yes").status == 0
    assert "remedy" not in rules(host).lower()
    with docker_proxies_stopped(host):
        assert fetch(host, "http://127.0.0.1:5001/") is None
    assert fetch(host, "http://172.17.0.1:5001/", "dev1-haproxy-1") is not None


def test_a_rule_whose_container_is_another_now_is_drift_and_apply_follows(host):
    assert remedy(host, "apply", "--yes").status == 0
    host.run(["docker", "stop", "-t", "0", "dev1-api-1", "dev1-api-2"], timeout=60)
    host.run(["docker", "start", "dev1-api-2"])  # takes the address that api-1 had
    host.run(["docker", "start", "dev1-api-1"])
    status = remedy(host, "status", "--detailed-exitcode", "--format", "json")
    assert status.status == 2
    drift = json.loads(status.stdout)["drift"]
    assert any(item["expected"] == "dev1-api-1" and item["found"] == "dev1-api-2" for item in drift)

    assert remedy(host, "apply", "--yes").status == 0
    with docker_proxies_stopped(host):
        assert "name=dev1-api-1" in fetch(host, "http://172.17.0.1:5001/", "dev1-haproxy-1")
    assert remedy(host, "rollback", "--yes").status == 0
    assert remedy(host, "rollback", "--yes").status == 0
    assert "remedy" not in rules(host).lower()


def test_without_accept_pinned_it_is_refused(host):
    host.write_file("/root/pinned.yaml", SPEC.replace("accept_pinned: true\n", ""))
    before = rules(host)
    done = host.run(["remedy", "-c", "/root/pinned.yaml", "apply", "--yes"], check=False)
    assert done.status == 7
    assert "accept_pinned" in done.stdout + done.stderr
    assert rules(host) == before
