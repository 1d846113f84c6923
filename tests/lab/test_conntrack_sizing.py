"""The conntrack remedy on a real host: timeouts in the kernel, the machine's own settings under a substitute.

nf_conntrack_max and the buckets are one setting for this whole machine, and a lab host is a network namespace of it. So
files are mounted over the two sysctls in the host's own mount namespace: remedy writes these, and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from made_flows import ESTABLISHED, Flows, make_flows
from operating import Operator
from state import differences, host_state, without_processes

from remedy.host.namespaces import run_in_network_namespace

pytestmark = pytest.mark.lab

NETFILTER = "/proc/sys/net/netfilter"
OF_THE_MACHINE = ("nf_conntrack_max", "nf_conntrack_buckets")
TIME_WAIT, ESTABLISHED_TIMEOUT = "nf_conntrack_tcp_timeout_time_wait", "nf_conntrack_tcp_timeout_established"
SYSCTL_FILE = "/etc/sysctl.d/99-zz-remedy-conntrack.conf"
SPEC = """\
version: 1
load_balancer: dev1-haproxy-1
backends: [{containers: [dev1-api-1, dev1-api-2, dev1-api-3], port: 8080}]
remedies:
  conntrack: %s
"""


@pytest.fixture(scope="module")
def host(module_lab_host):
    machine = [Path(NETFILTER, name).read_text() for name in OF_THE_MACHINE]
    yield module_lab_host(engine="28.5", firewall="nft")
    assert [Path(NETFILTER, name).read_text() for name in OF_THE_MACHINE] == machine


@pytest.fixture(scope="module")
def before(host):
    """The host before remedy ever touched it."""
    return host_state(host)


def wants(host, conntrack):
    return Operator(host, SPEC % conntrack)


def value(host, name):
    return host.run(["cat", f"{NETFILTER}/{name}"]).stdout.strip()


@contextmanager
def machine_of_its_own(host) -> Iterator[None]:
    """The host's own files in the place of the machine's settings: a host with room for 262144 connections."""
    for name in OF_THE_MACHINE:
        host.write_file(f"/run/substitute/{name}", "262144\n")
        host.run(["mount", "--bind", f"/run/substitute/{name}", f"{NETFILTER}/{name}"])
        # The machine's own are read-only here: what is not is the substitute.
        assert host.run(["stat", "-c", "%a", f"{NETFILTER}/{name}"]).stdout.strip() == "644"
    try:
        yield
    finally:
        for name in OF_THE_MACHINE:
            host.run(["umount", f"{NETFILTER}/{name}"])
        host.run(["rm", "-r", "/run/substitute"])


def is_as_before(host, before):
    return differences(before, host_state(host, traffic=False) | {"traffic": before["traffic"]}) == []


def test_the_machines_settings_are_refused_here_and_nothing_is_changed(host, before):
    refused = wants(host, "{max: 524288, tcp_timeout_time_wait: 30s}").remedy("apply", "--yes")
    assert refused.status == 7
    assert "net.netfilter.nf_conntrack_max cannot be set from here" in refused.stdout + refused.stderr
    assert "on the machine itself: sysctl -w net.netfilter.nf_conntrack_max=524288" in refused.stdout + refused.stderr
    assert is_as_before(host, before)


def test_timeouts_hold_in_the_kernel_over_a_reboot_and_go_back_exactly(host, before):
    operator = wants(host, "{connection_rate: 2000, tcp_timeout_established: 24h}")
    plan = operator.json("plan")
    (action,) = plan["actions"]
    assert action["arithmetic"][1].endswith("so a closed connection keeps its entry for 65 s")  # 262144 / (2 x 2000)
    assert [warning["code"] for warning in plan["warnings"]] == ["conntrack-global"]

    # Killed with the values written, and the first file about to get its name.
    killed = operator.start_killing_itself(7, "apply", "--yes").wait()
    assert (value(host, TIME_WAIT), value(host, ESTABLISHED_TIMEOUT)) == ("65", "86400"), killed
    assert operator.remedy("rollback", "--yes").status == 0
    assert is_as_before(host, before)

    operator.remedy("apply", "--yes", check=True)
    assert (value(host, TIME_WAIT), value(host, ESTABLISHED_TIMEOUT)) == ("65", "86400")
    assert operator.remedy("plan", "--detailed-exitcode").status == 0
    host.run(["conntrack", "-F"])
    host.run(["python3", "-c", "import urllib.request as u; u.urlopen('http://172.17.0.1:5001/').read()"])
    closed = re.findall(r"tcp +6 (\d+) TIME_WAIT", host.run(["cat", "/proc/net/nf_conntrack"]).stdout)
    assert closed and max(map(int, closed)) <= 65

    host.run(["sysctl", "-qw", f"net.netfilter.{TIME_WAIT}=90"])
    (drift,) = operator.json("status")["drift"]
    assert (drift["where"], drift["expected"], drift["found"]) == (f"net.netfilter.{TIME_WAIT}", "65", "90")

    host.reboot()
    assert (value(host, TIME_WAIT), value(host, ESTABLISHED_TIMEOUT)) == ("65", "86400")
    operator.wait_for_traffic(before)
    assert operator.json("status")["drift"] == []
    assert operator.remedy("rollback", "--yes").status == 0
    assert differences(without_processes(before), without_processes(host_state(host))) == []


def test_on_a_machine_of_its_own_the_table_grows_and_shrinks_back(host):
    with machine_of_its_own(host):
        before = host_state(host, traffic=False)
        operator = wants(host, "{connection_rate: 2000, memory: 128MiB}")
        (action,) = operator.json("plan")["actions"]
        assert (
            "2000 connections/s x 120 s (time_wait) = 240000 entries; x 2 for bursts = 480000" in action["arithmetic"]
        )
        assert "480256 entries x 256 bytes + 480256 buckets x 8 bytes = 121 MiB" in action["arithmetic"][-1]
        operator.remedy("apply", "--yes", check=True)
        assert [value(host, name) for name in OF_THE_MACHINE] == ["480256", "480256"]
        assert host.run(["grep", "-c", "480256", SYSCTL_FILE]).stdout.strip() == "2"
        assert operator.remedy("rollback", "--yes").status == 0
        assert differences(before, host_state(host, traffic=False)) == []


def test_entries_are_told_by_origin_and_less_room_than_they_take_is_refused(host):
    haproxy, api = (container_address(host, name) for name in ("dev1-haproxy-1", "dev1-api-1"))
    made = {
        Flows(haproxy, "172.17.0.1", 5001, "172.17.0.1", 5001): 1500,  # by docker-proxy
        Flows("10.98.0.77", host.address, 5001, api, 8080): 300,  # by DNAT
        Flows(haproxy, api, 8080, api, 8080, ESTABLISHED): 700,
        Flows(haproxy, "192.0.2.7", 443, "192.0.2.7", 443): 40,
    }
    host.run(["conntrack", "-F"], check=False)
    for flows, number in made.items():
        run_in_network_namespace(host.init_pid, lambda flows=flows, number=number: make_flows(flows, number))
    operator = wants(host, "{max: 2000}")
    for table in (operator.json(command)["conntrack"] for command in ("doctor", "status", "verify")):
        told = {origin["what"]: origin["entries"] for origin in table["origins"]}
        assert 1800 <= told["port 5001/tcp (dev1-api-1)"] < 1900
        assert 700 <= told["dev1-haproxy-1 -> dev1-api-1:8080/tcp"] < 750
        assert told["everything else"] >= 40
        assert sum(told.values()) == table["entries"] >= 2540
        assert set(table["losses"]) == {"drop", "early_drop", "insert_failed"}
        assert table["ended_per_second"] >= 15  # 1840 in 120 s
    shown = operator.remedy("status").stdout
    assert re.search(r"Conntrack: \d+ entries of 262144 \(1% full\)", shown)

    with machine_of_its_own(host):
        refused = operator.remedy("plan", "--format", "json")
        assert [refusal["code"] for refusal in json.loads(refused.stdout)["refusals"]] == ["conntrack-in-use"]
        assert operator.remedy("apply", "--yes").status == 7
        assert value(host, "nf_conntrack_max") == "262144"


def container_address(host, name):
    inspect = ["docker", "inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", name]
    return host.run(inspect).stdout.strip()
