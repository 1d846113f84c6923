"""init, plan, apply, status, plan again, rollback: on every engine and firewall, judged by the host's whole state."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from state import differences, host_state

from remedy.lab import ENGINES, FIREWALLS

pytestmark = pytest.mark.lab

TOPOLOGIES = Path(__file__).parent / "topologies"
SPEC = "/root/remedy.yaml"


def remedy(host, *arguments, timeout=120):
    return host.run(["remedy", "-c", SPEC, *arguments], check=False, timeout=timeout)


def succeed(host, *arguments):
    done = remedy(host, *arguments)
    assert done.status == 0, done.stdout + done.stderr
    return done.stdout


def containers(host):
    ids = host.run(["docker", "ps", "-q"]).stdout.split()
    return host.run(["docker", "inspect", "-f", "{{.Name}} {{.State.Pid}} {{.State.StartedAt}}", *ids]).stdout


def proxies(host):
    return int(host.run(["pgrep", "-c", "docker-proxy"], check=False).stdout)


@pytest.mark.parametrize("firewall", FIREWALLS)
@pytest.mark.parametrize("engine", ENGINES)
def test_an_operators_host_is_mended_and_given_back(lab_host, engine, firewall):
    host = lab_host(engine=engine, firewall=firewall)
    before = host_state(host, traffic=False)
    running = containers(host)
    assert proxies(host) >= 6

    assert remedy(host, "init").status == 0
    proposal = host.read_file(SPEC).decode()
    assert "  userland_proxy: false" in proposal
    assert "  user_network: remedy-lb" in proposal
    plan = json.loads(succeed(host, "plan", "--format", "json"))
    assert plan["changes"] is True
    assert plan["refusals"] == []
    moved = {(p["from"], p["to"]): (p["before"], p["after"]) for p in plan["paths"]}
    assert moved["dev1-haproxy-1", "172.17.0.1:5001"] == ("docker-proxy", "direct")
    assert remedy(host, "plan", "--detailed-exitcode").status == 2

    report = json.loads(succeed(host, "apply", "--yes", "--format", "json"))
    assert report["result"] == "applied"
    assert all(probe["after"] for probe in report["probes"] if probe["before"])
    assert proxies(host) == 0
    assert containers(host) == running
    assert b"live-restore" not in host.read_file("/etc/docker/daemon.json")
    assert host.run(["docker", "info", "-f", "{{.LiveRestoreEnabled}}"]).stdout.strip() == "false"

    again = json.loads(succeed(host, "plan", "--format", "json", "--detailed-exitcode"))
    assert (again["changes"], again["actions"]) == (False, [])
    assert json.loads(succeed(host, "status", "--format", "json", "--detailed-exitcode"))["drift"] == []
    assert json.loads(succeed(host, "apply", "--yes", "--format", "json"))["result"] == "nothing"

    succeed(host, "rollback", "--yes")
    assert differences(before, host_state(host, traffic=False)) == []
    assert containers(host) == running


@pytest.mark.parametrize("engine", ENGINES)
def test_a_host_with_odd_contents_is_mended_and_given_back_with_every_foreign_rule(lab_host, engine):
    host = lab_host(engine=engine, topology=TOPOLOGIES / "odd.yaml")
    before = host_state(host, traffic=False)
    assert remedy(host, "init").status == 0
    done = remedy(host, "apply", "--yes")
    assert done.status == 0, done.stdout
    assert "\x1b[31m" not in done.stdout
    assert proxies(host) == 0
    for line in ('ban \\"quoted\\" -j DROP; it', "fwd x", "first"):
        assert line in host.run(["iptables-save"]).stdout
    succeed(host, "rollback", "--yes")
    assert differences(before, host_state(host, traffic=False)) == []


@pytest.mark.parametrize("firewall", FIREWALLS)
def test_a_haproxy_on_another_network_goes_by_name_or_keeps_its_docker_proxy(lab_host, firewall):
    host = lab_host(engine="26.1", firewall=firewall, topology=TOPOLOGIES / "cross-network.yaml")
    before = host_state(host, traffic=False)
    assert remedy(host, "init").status == 0
    proposal = host.read_file(SPEC).decode()
    assert "  userland_proxy: false" in proposal
    assert "  user_network: remedy-lb" in proposal
    succeed(host, "apply", "--yes")
    assert proxies(host) == 0
    succeed(host, "rollback", "--yes")

    host.write_file(SPEC, "version: 1\nremedies: {userland_proxy: false}\n")
    done = remedy(host, "apply", "--yes")
    assert done.status == 7
    assert "x-haproxy-1" in done.stdout + done.stderr
    assert remedy(host, "plan").status == 7
    assert differences(before, host_state(host, traffic=False)) == []


def test_a_plan_made_on_monday_is_refused_on_tuesday_when_the_host_has_changed(lab_host):
    host = lab_host()
    remedy(host, "init")
    succeed(host, "plan", "-o", "/root/plan.json")
    host.run(["docker", "restart", "-t", "0", "dev1-api-2"], timeout=60)
    before = host_state(host, traffic=False)
    done = remedy(host, "apply", "/root/plan.json", "--yes")
    assert done.status == 6
    assert "dev1-api-2" in done.stdout + done.stderr
    assert differences(before, host_state(host, traffic=False)) == []

    succeed(host, "plan", "-o", "/root/plan.json")
    succeed(host, "apply", "/root/plan.json", "--yes")
    succeed(host, "rollback", "--yes")
    assert differences(before, host_state(host, traffic=False)) == []


def test_facts_of_one_host_are_planned_on_another_without_docker(lab_host, tmp_path):
    host = lab_host()
    remedy(host, "init")
    succeed(host, "facts", "-o", "/root/facts.json")
    host.run(["systemctl", "stop", "docker.socket", "docker"], timeout=60)
    plan = json.loads(succeed(host, "--facts", "/root/facts.json", "plan", "--format", "json"))
    assert plan["changes"] is True
    assert remedy(host, "plan").status == 1
