"""The facts after a plan, before it is applied."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from remedy.facts.model import Protocol
from remedy.firewall.writer import select_writer
from remedy.paths.walk import Datapath
from remedy.plan.foresight import facts_after, facts_after_each
from remedy.spec.models import HostPort

HOSTS = ["operator-20.10", "operator-28.5", "odd-28.5"]
OFF = {"userland_proxy": False}


def connect(facts, source, address, port=5001):
    to = HostPort(address=ip_address(address), port=port, protocol=Protocol.TCP)
    return Datapath(facts).connect(source, to)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("remedies", [OFF, {"hairpin": {"loopback": True}}], ids=str)
def test_a_host_that_was_brought_to_a_spec_needs_no_change_for_it(facts_of, plan_for, host, remedies):
    facts = facts_of(host)
    keys = {"remedies": remedies, "backends": [{"project": "dev1", "service": "api", "port": 8080}]}
    if host.startswith("odd"):
        keys.pop("backends")
    plan = plan_for(facts, **keys)
    after = facts_after(facts, plan.actions)
    assert plan_for(after, **keys).actions == ()


@pytest.mark.parametrize("host", HOSTS)
def test_off_and_on_again_is_the_host_as_it_was_but_for_what_the_engine_leaves(facts_of, plan_for, host):
    facts = facts_of(host)
    off = facts_after(facts, plan_for(facts, remedies=OFF).actions)
    assert off.docker_proxies == ()
    on = facts_after(off, plan_for(off, remedies={"userland_proxy": True}).actions)
    assert {places(p) for p in on.docker_proxies} == {places(p) for p in facts.docker_proxies}
    assert on.engine.live_restore is facts.engine.live_restore


def places(proxy):
    return proxy.protocol, proxy.host_address, proxy.host_port, proxy.container_address, proxy.container_port


@pytest.mark.parametrize("host", ["operator-20.10", "operator-28.5"])
def test_no_moment_of_the_change_is_without_a_way_to_the_published_ports(facts_of, plan_for, host):
    facts = facts_of(host)
    plan = plan_for(facts, remedies=OFF)
    seen = []
    for action, after in facts_after_each(facts, plan.actions):
        for source, address in (("host", "127.0.0.1"), ("dev1-haproxy-1", "172.17.0.1"), ("dev1-api-1", "172.17.0.1")):
            verdict = connect(after, source, address)
            assert (verdict.reachable, verdict.by) == (True, "dev1-api-1"), (action.id, verdict)
        seen.append((action.id, verdict.via, bool(select_writer(after.firewall.backend).present_names(after.firewall))))
    assert seen == [
        ("route_localnet", "docker-proxy", False),
        ("hairpin_mode", "docker-proxy", False),
        ("bridge", "dnat", True),
        ("hold_live_restore", "dnat", True),
        ("userland_proxy", "dnat", True),
        ("release_live_restore", "dnat", True),
        ("unbridge", "dnat", False),
    ]


@pytest.mark.parametrize("host", ["operator-20.10", "operator-28.5"])
def test_ipv6_loopback_is_lost_with_the_proxy_as_the_plan_says(facts_of, plan_for, host):
    facts = facts_of(host)
    assert connect(facts, "host", "::1").via == "docker-proxy"
    after = facts_after(facts, plan_for(facts, remedies=OFF).actions)
    assert connect(after, "host", "::1").failure == "refused"


def test_containers_that_stop_with_the_engine_come_back_with_new_bridge_ports(facts_of, plan_for):
    facts = facts_of("operator-28.5")
    swarm = facts.model_copy(update={"engine": facts.engine.model_copy(update={"swarm": True})})
    [switch] = plan_for(swarm, remedies=OFF).actions
    assert not switch.live_restore
    after = facts_after(swarm, [switch])
    assert all(port.hairpin_mode for port in after.bridge_ports)
    assert after.containers == swarm.containers


def test_a_plan_that_only_writes_daemon_json_changes_no_path(facts_of, plan_for):
    facts = facts_of("operator-28.5")
    off = facts_after(facts, plan_for(facts, remedies=OFF).actions)
    forgotten = off.model_copy(update={"daemon_json": facts.daemon_json})
    plan = plan_for(forgotten, remedies=OFF)
    assert [action.restart for action in plan.actions] == [False]
    assert facts_after(forgotten, plan.actions) == off
