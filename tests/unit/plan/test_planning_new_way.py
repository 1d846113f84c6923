"""user_network: a server that would not come out on the network where it does today is left alone, and others go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from test_planning_user_network import content, operator, planned, rewired, with_config

from remedy.facts.model import HostFacts
from remedy.plan.model import Plan

__all__ = ["operator", "planned"]  # fixtures

DROP = "-A DOCKER-USER -d 172.30.255.0/24 -p tcp -m tcp --dport 8080 -j DROP"
TO_NINE = "-A PREROUTING -d 172.30.255.0/24 -p tcp -m tcp --dport 8080 -j REDIRECT --to-ports 9"


def with_rule(facts: HostFacts, rule: str, table: str = "filter") -> HostFacts:
    """With a rule of somebody else's, ahead of all others of its table."""
    tables = []
    for one in facts.firewall.tables:
        text = one.text
        if one.family == 4:
            start = text.index(f"*{table}\n")
            place = text.index("-A ", start)
            text = f"{text[:place]}{rule}\n{text[place:]}"
        tables.append(one.model_copy(update={"text": text}))
    return facts.model_copy(update={"firewall": facts.firewall.model_copy(update={"tables": tuple(tables)})})


def listening_only_at_home(facts: HostFacts, name: str) -> HostFacts:
    """One container's server listens on its address of today alone."""
    container = next(c for c in facts.containers if c.name == name)
    address = next(e.ipv4.ip for e in container.endpoints if e.ipv4 is not None)
    spaces = [
        space.model_copy(
            update={
                "listening": tuple(
                    socket.model_copy(update={"address": address, "v6only": None}) for socket in space.listening
                )
            }
        )
        if container.id in space.containers
        else space
        for space in facts.namespaces
    ]
    return facts.model_copy(update={"namespaces": tuple(spaces)})


def left_alone(plan: Plan) -> dict[str, str]:
    return {w.what.split()[1]: w.detail for w in plan.warnings if w.code == "server-left-alone"}


def test_a_process_that_listens_on_todays_address_alone_is_left_and_the_others_go_on(
    operator: HostFacts, planned: Callable[..., Plan]
) -> None:
    plan = planned(listening_only_at_home(operator, "dev1-api-1"))

    (why,) = left_alone(plan).values()
    assert why.startswith("on remedy-lb it would not come out at dev1-api-1:8080: ")
    assert {server.container for server in rewired(plan).servers} == {"dev1-api-2", "dev1-api-3"}
    assert plan.refusals == ()
    assert content(plan).count("172.17.0.1:500") == 1


@pytest.mark.parametrize(("rule", "table"), [(DROP, "filter"), (TO_NINE, "nat")])
def test_a_foreign_rule_on_the_new_bridge_leaves_all_alone_and_nobody_joins(
    operator: HostFacts, planned: Callable[..., Plan], rule: str, table: str
) -> None:
    plan = planned(with_rule(operator, rule, table))

    assert plan.actions == ()
    assert len(left_alone(plan)) == 3
    assert "user-network-without-servers" in {warning.code for warning in plan.warnings}


def test_a_foreign_rule_about_another_port_is_no_obstacle(operator: HostFacts, planned: Callable[..., Plan]) -> None:
    plan = planned(with_rule(operator, DROP.replace("8080", "8081")))

    assert left_alone(plan) == {}
    assert len(rewired(plan).servers) == 3


def test_an_existing_network_whose_containers_are_closed_to_each_other_leads_nobody(
    facts_of: Callable[[str], HostFacts], plan_for: Callable[..., Plan]
) -> None:
    facts = facts_of("cross-26.1")
    balancer = next(c for c in facts.containers if c.id == facts.haproxies[0].container_id)
    keys: dict[str, Any] = {"load_balancer": balancer.name}
    ports = {s.port for s in facts.haproxies[0].servers}
    backends = [c for c in facts.containers if any(b.host_port in ports for b in c.ports)]
    keys["backends"] = [{"containers": [c.name for c in backends], "port": backends[0].ports[0].container_port}]
    network = next(e.network_name for e in balancer.endpoints)
    bridge = next(n.bridge for n in facts.networks if n.name == network)
    lines = [f"    server s{s.port} {s.host}:{s.port}" for s in facts.haproxies[0].servers]
    crossing = with_config(facts, "backend api\n" + "\n".join(lines) + "\n")

    plans = [
        plan_for(host, **keys, remedies={"user_network": network})
        for host in (crossing, with_rule(crossing, f"-A FORWARD -i {bridge} -o {bridge} -j DROP"))
    ]

    assert not left_alone(plans[0])
    assert len(left_alone(plans[1])) == len(lines)
    assert plans[1].actions == ()
