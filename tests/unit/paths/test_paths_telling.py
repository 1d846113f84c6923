"""Each hop says what happens there and quotes its evidence: the rule, the route, the setting, the socket."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from remedy.captures.facts import load_capture
from remedy.captures.files import read_capture
from remedy.facts.model import HostFacts, RoutingRule
from remedy.paths.clients import UnknownSourceError
from remedy.paths.verdict import Step, Verdict
from remedy.paths.walk import Datapath
from remedy.spec.models import HostPort

CAPTURES = Path(__file__).parents[2] / "captures"


@cache
def facts(name: str) -> HostFacts:
    return load_capture(read_capture(CAPTURES / f"{name}.tar.xz"))


def walked(name: str, source: str, to: str) -> Verdict:
    return Datapath(facts(name)).connect(source, HostPort.parse(to))


def step(verdict: Verdict, where: str) -> Step:
    return next(step for step in verdict.steps if step.where.startswith(where))


# --- why docker-proxy gets a connection that others get by DNAT ------------------------------------------------


@pytest.mark.parametrize(
    ("name", "source", "to", "rule"),
    [
        ("28.5.2-iptables-proxy-on", "haproxy", "172.17.0.1:5001", "-A DOCKER -i docker0 -j RETURN"),
        (
            "28.5.2-iptables-proxy-on",
            "host",
            "127.0.0.1:5001",
            "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
        ),
        (
            "29.7.2-iptables-proxy-on",
            "haproxy",
            "172.17.0.1:5001",
            "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 5001 -j DNAT --to-destination 172.17.0.2:8080",
        ),
        (
            "29.7.2-nftables-proxy-on",
            "haproxy",
            "172.17.0.1:5001",
            'iifname != "docker0" tcp dport 5001 dnat to 172.17.0.2:8080 comment "DNAT"',
        ),
    ],
)
def test_the_rule_that_keeps_a_connection_from_the_dnat_is_quoted(name: str, source: str, to: str, rule: str) -> None:
    verdict = walked(name, source, to)

    assert verdict.via == "docker-proxy"
    before = verdict.steps[[step.where.startswith("docker-proxy") for step in verdict.steps].index(True) - 1]
    assert before.why == rule
    assert "172.17.0.2:8080" in before.what


def test_docker_proxy_is_named_with_its_process_and_its_command_line() -> None:
    proxy = step(walked("28.5.2-iptables-proxy-on", "haproxy", "172.17.0.1:5001"), "docker-proxy")

    assert proxy.where == "docker-proxy pid 415"
    assert proxy.what == "takes the connection at 0.0.0.0:5001 and copies every byte to 172.17.0.2:8080"
    assert "-host-port 5001" in proxy.why


def test_a_port_without_any_dnat_rule_has_no_rule_to_quote() -> None:
    verdict = walked("28.5.2-iptables-proxy-on", "haproxy", "172.17.0.1:9")

    assert [step.where for step in verdict.steps] == ["haproxy", "docker0", "host"]
    assert verdict.failure == "refused"


# --- evidence of the other hops --------------------------------------------------------------------------------


def test_routes_bridges_and_rules_are_told_in_the_packets_order() -> None:
    verdict = walked("28.5.2-iptables-proxy-off", "other-net", "172.17.0.1:5001")

    assert [step.what for step in verdict.steps] == [
        "172.18.0.3 sends to 172.17.0.1:5001",
        "hands it to the host",
        "the destination becomes 172.17.0.2:8080",
        "forwards it to docker0",
        "drops it",
    ]
    assert "route: 172.17.0.1 via 172.18.0.1 dev eth0" in verdict.steps[0].why
    assert verdict.steps[3].why == "route: 172.17.0.2 dev docker0"
    assert verdict.steps[-1].why.endswith("-j DROP")


@pytest.mark.parametrize("name", ["28.5.2-iptables-proxy-on", "29.7.2-nftables-proxy-off"])
def test_every_step_has_evidence_unless_it_is_another_machine(name: str) -> None:
    datapath = Datapath(facts(name))
    for source in ("host", "external", *datapath.topology.by_name):
        for to in ("172.17.0.1:5001", "172.17.0.2:8080", "127.0.0.1:5001", "172.17.0.1:9", "203.0.113.1:80"):
            for each in datapath.connect(source, HostPort.parse(to)).steps:
                assert each.where and each.what
                assert each.why or each.where == "outside", each


def test_a_masquerade_says_which_source_becomes_which() -> None:
    verdict = walked("28.5.2-iptables-proxy-off", "host", "127.0.0.1:5001")

    masquerade = step(verdict, "iptables nat POSTROUTING")
    assert masquerade.what == "the source 127.0.0.1 becomes 172.17.0.1"
    assert (str(verdict.source_sent), str(verdict.source_seen)) == ("127.0.0.1", "172.17.0.1")


def test_a_way_from_outside_to_outside_is_no_local_one() -> None:
    verdict = walked("28.5.2-iptables-proxy-off", "external", "10.98.0.77:80")

    assert (verdict.via, verdict.by) == ("direct", "outside")


def test_a_routing_rule_that_is_not_known_makes_an_outsiders_way_unknown() -> None:
    known = facts("28.5.2-iptables-proxy-off")
    odd = RoutingRule(family=4, priority=10, source="all", table="main", extra={"uidrange": "1-2"})
    spaces = tuple(s.model_copy(update={"rules": (odd, *s.rules)}) if s.is_host else s for s in known.namespaces)
    datapath = Datapath(known.model_copy(update={"namespaces": spaces}))

    verdict = datapath.connect("external", HostPort.parse("203.0.113.1:80"))

    assert (verdict.reachable, verdict.via) == (None, "unknown")
    assert verdict.unknown_because == verdict.steps[-1].why == "routing rule 10 with uidrange 1-2"


# --- who is not there ------------------------------------------------------------------------------------------


def test_a_misspelt_container_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownSourceError) as caught:
        walked("28.5.2-iptables-proxy-on", "haprxy", "172.17.0.1:5001")

    assert caught.value.next_step == "did you mean haproxy?"


def test_a_stopped_container_is_said_to_be_stopped() -> None:
    known = facts("28.5.2-iptables-proxy-on")
    stopped = tuple(
        c.model_copy(update={"pid": 0, "state": "exited"}) if c.name == "client" else c for c in known.containers
    )
    spaces = tuple(
        s
        if s.is_host
        else s.model_copy(
            update={"containers": tuple(i for i in s.containers if i not in {c.id for c in stopped if not c.pid})}
        )
        for s in known.namespaces
    )
    datapath = Datapath(known.model_copy(update={"containers": stopped, "namespaces": spaces}))

    with pytest.raises(UnknownSourceError, match="client does not run") as caught:
        datapath.connect("client", HostPort.parse("172.17.0.1:5001"))

    assert caught.value.next_step == "docker start client, or name another"


def test_a_container_that_is_called_host_is_asked_for_by_its_kind() -> None:
    known = facts("28.5.2-iptables-proxy-on")
    renamed = tuple(c.model_copy(update={"name": "host"}) if c.name == "haproxy" else c for c in known.containers)
    datapath = Datapath(known.model_copy(update={"containers": renamed}))
    to = HostPort.parse("172.17.0.1:5001")

    assert datapath.connect("container:host", to).from_ == "container:host"
    assert str(datapath.connect("container:host", to).source_sent) == "172.17.0.5"
    assert str(datapath.connect("host", to).source_sent) == "172.17.0.1"
