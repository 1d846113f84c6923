"""What others change after apply: rollback does not write over it unasked, and status shows it."""

from __future__ import annotations

import pytest
from conftest import LabHost
from operating import Operator
from state import differences, host_state

pytestmark = pytest.mark.lab

DAEMON_JSON = "/etc/docker/daemon.json"
HAIRPIN = """\
version: 1
load_balancer: dev1-haproxy-1
backends: [{containers: [dev1-api-1, dev1-api-2, dev1-api-3], port: 8080}]
remedies: {hairpin: true}
policy: {accept_pinned: true}
"""
EDITS = {
    "nft": "nft add rule ip remedy_hairpin prerouting tcp dport 9999 counter",
    "legacy": "iptables-legacy -t nat -A REMEDY-HAIRPIN-PRE -p tcp --dport 9999 -j RETURN",
}


def test_an_edited_daemon_json_is_drift_and_needs_force(lab_host: LabHost) -> None:
    operator = Operator(lab_host("28.5", "nft"))
    before = host_state(operator.host)
    operator.remedy("apply", "--yes", check=True)
    edited = b'{"userland-proxy": false, "debug": true}\n'
    operator.host.write_file(DAEMON_JSON, edited)
    applied = host_state(operator.host)

    assert "daemon.json was edited" in operator.json("status")["drift"][0]["what"]
    assert operator.remedy("status", "--detailed-exitcode").status == 2
    refused = operator.remedy("rollback", "--yes")
    assert refused.status == 7
    assert f"{DAEMON_JSON} was edited since" in refused.stderr
    assert "--force" in refused.stderr
    assert differences(applied, host_state(operator.host)) == []

    forced = operator.remedy("rollback", "--yes", "--force")
    assert forced.status == 0, forced.stdout + forced.stderr
    kept = operator.runs()[-1] / "overwritten-daemon.json"
    assert kept.read_bytes() == edited
    assert kept.name in forced.stdout
    assert differences(before, host_state(operator.host)) == []


@pytest.mark.parametrize("firewall", EDITS)
def test_edited_rules_of_remedy_are_drift_and_need_force(lab_host: LabHost, firewall: str) -> None:
    operator = Operator(lab_host("28.5", firewall), HAIRPIN)
    before = host_state(operator.host)
    operator.remedy("apply", "--yes", check=True)
    operator.host.run(EDITS[firewall].split())

    drift = operator.json("status")["drift"]
    assert [item["what"] for item in drift] == ["remedy's hairpin rules are not as they were written"]
    assert operator.remedy("status", "--detailed-exitcode").status == 2
    refused = operator.remedy("rollback", "--yes")
    assert refused.status == 7
    assert "hairpin rules were edited" in refused.stderr

    assert operator.remedy("rollback", "--yes", "--force").status == 0
    assert differences(before, host_state(operator.host)) == []


def test_rules_that_are_gone_altogether_keep_nobody_from_rolling_back(lab_host: LabHost) -> None:
    operator = Operator(lab_host("28.5", "nft"), HAIRPIN)
    before = host_state(operator.host)
    operator.remedy("apply", "--yes", check=True)
    operator.host.run(["nft", "delete", "table", "ip", "remedy_hairpin"])
    assert operator.json("status")["drift"] != []
    assert operator.remedy("rollback", "--yes").status == 0
    assert differences(before, host_state(operator.host)) == []
