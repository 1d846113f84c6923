"""Hosts as nobody would set them up: remedy works on them, or refuses, and gives back what it found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from operating import DIRECTORY, Operator
from state import differences, host_state, without_processes

from remedy.lab import Host

pytestmark = pytest.mark.lab

TOPOLOGIES = Path(__file__).parent / "topologies"
DAEMON_JSON = "/etc/docker/daemon.json"
OFF = "version: 1\nremedies: {userland_proxy: false}\n"
HAIRPIN = """\
version: 1
backends:
  - {containers: [web.dotted_1-x, neighbour, evilnet, two-nets, only-lo, stopped-1, paused-1, esc-labels], port: 8080}
  - {containers: [udp-tcp], port: 53, protocol: udp}
remedies: {hairpin: {loopback: true}}
accept_pinned: true
"""


def apply_and_roll_back(host: Host, spec: str | None) -> str:
    """What apply printed; the host is as it was afterwards."""
    before = host_state(host, traffic=False)
    operator = Operator(host, spec)
    applied = operator.remedy("apply", "--yes", check=True).stdout
    assert operator.remedy("status", "--detailed-exitcode").status == 0
    assert operator.remedy("plan", "--detailed-exitcode").status == 0
    operator.remedy("rollback", "--yes", check=True)
    changes = differences(before, host_state(host, traffic=False))
    assert [line for line in changes if not is_made_by_any_restart(line)] == []
    return applied


def is_made_by_any_restart(change: str) -> bool:
    """Whoever starts them, 20.10 and 26.1 add a second route to the bridge of a network with IPv6."""
    return re.match(r"routes: appeared: (fd00:|local fd00:|anycast fd00:)", change) is not None


@pytest.mark.parametrize(("engine", "firewall"), [("20.10", "legacy"), ("26.1", "nft"), ("28.5", "legacy")])
def test_odder_contents_are_mended_and_given_back(lab_host, engine: str, firewall: str) -> None:
    host = lab_host(engine=engine, firewall=firewall, topology=TOPOLOGIES / "odder.yaml")
    for spec in (None, HAIRPIN):
        shown = apply_and_roll_back(host, spec)
        assert all(character.isprintable() or character == "\n" for character in shown)


@pytest.mark.parametrize(
    ("engine", "topology"), [("26.1", "ipv6-without-ip6tables"), ("20.10", "ipv6"), ("28.5", "ipv6")]
)
def test_ipv6_is_kept_by_rules_where_there_are_any(lab_host, engine: str, topology: str) -> None:
    apply_and_roll_back(lab_host(engine=engine, topology=TOPOLOGIES / f"{topology}.yaml"), OFF)


@pytest.mark.parametrize("engine", ["20.10", "28.5"])
def test_a_daemon_json_that_the_engine_has_not_read_yet_is_no_obstacle(lab_host, engine: str) -> None:
    host = lab_host(engine=engine)
    host.write_file(DAEMON_JSON, '{"userland-proxy": false}\n')
    apply_and_roll_back(host, OFF)


def test_missing_programs_are_named_before_anything_is_changed(lab_host) -> None:
    host = lab_host()
    operator = Operator(host)
    before = host_state(host)
    program = host.run(["readlink", "-f", "/usr/sbin/nft"]).stdout.strip()
    host.run(["mv", program, "/root/nft"])
    done = operator.remedy("apply", "--yes")
    host.run(["mv", "/root/nft", program])
    assert done.status in (1, 7), done.stdout
    assert "nft" in done.stdout + done.stderr
    assert differences(before, host_state(host)) == []


def test_containers_that_may_be_stopped_are_and_leave_nothing_of_remedy(lab_host) -> None:
    host = lab_host(engine="26.1")
    command = host.run(["systemctl", "show", "-p", "ExecStart", "--value", "docker"]).stdout
    program = command.partition("argv[]=")[2].partition(" ;")[0].replace("$DOCKER_OPTS", "")
    host.write_file(
        "/etc/systemd/system/docker.service.d/flag.conf",
        f"[Service]\nExecStart=\nExecStart={program} --live-restore=false\n",
    )
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "restart", "docker"], timeout=120)
    operator = Operator(host, OFF)
    assert operator.remedy("apply", "--yes").status == 7
    host.write_file(f"{DIRECTORY}/remedy.yaml", f"{OFF}policy: {{stop_containers: true}}\n")
    before = host_state(host)
    operator.remedy("apply", "--yes", check=True)
    assert operator.remedy("plan", "--detailed-exitcode").status == 0
    operator.remedy("rollback", "--yes", check=True)
    operator.wait_for_traffic(before)
    assert differences(without_processes(before), without_processes(host_state(host))) == []


def test_neighbours_that_may_not_talk_to_each_other_keep_their_docker_proxy(lab_host) -> None:
    host = lab_host(engine="28.5", topology=TOPOLOGIES / "closed-to-neighbours.yaml")
    operator = Operator(host)
    proposal = host.read_file(f"{DIRECTORY}/remedy.yaml").decode()
    assert "# userland_proxy: false" in proposal
    assert "# hairpin: true" in proposal
    operator.remedy("apply", "--yes", check=True)
    host.write_file(f"{DIRECTORY}/remedy.yaml", OFF)
    done = operator.remedy("apply", "--yes")
    assert done.status == 7
    assert "x-haproxy-1" in done.stdout + done.stderr
