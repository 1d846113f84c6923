"""Which network, which subnet, which names; and whose default route would move."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remedy.facts.model import ConntrackFacts, Container, DaemonJson, Endpoint, HostFacts, Network, Route, RoutingRule
from remedy.plan.actions import ConnectNetwork, CreateNetwork
from remedy.plan.user_network import NetworkPlan, plan_network
from remedy.plan.user_network.names import is_safe_name, safe_alias
from remedy.plan.user_network.subnets import POOLS, Taken, collision, free_subnet
from remedy.spec.models import UserNetworkOptions

BALANCER, API = "dev1-haproxy-1", ("dev1-api-1", "dev1-api-2", "dev1-api-3")
SIX = IPv6Network("fd00:77::/64")
NO_ICC = {"com.docker.network.bridge.enable_icc": "false"}
NOTHING_TRACKED = ConntrackFacts(count=0, maximum=0, buckets=0, entries=(), entries_complete=True)
Load = Callable[[str], HostFacts]


@pytest.fixture
def operator(facts_of: Load) -> HostFacts:
    return facts_of("operator-28.5")


def planned(facts: HostFacts, name: str = "remedy-lb", **options: Any) -> NetworkPlan:
    by_name = {container.name: container for container in facts.containers}
    members = [container for name, container in by_name.items() if name != BALANCER]
    return plan_network(facts, by_name[BALANCER], members, UserNetworkOptions(name=name, **options))


def codes(plan: NetworkPlan) -> list[str]:
    return [refusal.code for refusal in plan.refusals]


def network(name: str, *subnets: str, **changes: Any) -> Network:
    values: dict[str, Any] = {"driver": "bridge", "scope": "local", "internal": False, "options": {}, "gateways": ()}
    ranges = tuple(ip_network(subnet) for subnet in subnets or ("172.28.0.0/24",))
    six = any(subnet.version == 6 for subnet in ranges)
    values |= {"subnets": ranges, "enable_ipv6": six, "bridge": f"br-{name}", **changes}
    return Network(id=f"id-{name}", name=name, **values)


def with_networks(facts: HostFacts, *networks: Network) -> HostFacts:
    return facts.model_copy(update={"networks": (*facts.networks, *networks)})


def edited(facts: HostFacts, edit: Callable[[Container], dict[str, Any]]) -> HostFacts:
    return facts.model_copy(update={"containers": tuple(c.model_copy(update=edit(c)) for c in facts.containers)})


def joined(facts: HostFacts, to: Network, *names: str, aliases: tuple[str, ...] = ()) -> HostFacts:
    endpoint = Endpoint(network_id=to.id, network_name=to.name, aliases=aliases)
    return edited(facts, lambda c: {"endpoints": (*c.endpoints, endpoint)} if c.name in names or not names else {})


def with_routes(facts: HostFacts, *destinations: str, table: str = "main") -> HostFacts:
    routes = tuple(
        Route(
            family=4, table=table, destination=IPv4Network(text), kind="unicast", interface="tun0",
            gateway=None, prefsrc=None, metric=None,
        )
        for text in destinations
    )  # fmt: skip
    host, *others = facts.namespaces
    return facts.model_copy(
        update={"namespaces": (host.model_copy(update={"routes": (*host.routes, *routes)}), *others)}
    )


def subnet_of(plan: NetworkPlan) -> str:
    return next(str(action.subnets[0]) for action in plan.actions if isinstance(action, CreateNetwork))


# --- which network ---------------------------------------------------------------------------------------------------


def test_an_existing_network_of_the_name_is_joined_by_those_who_are_not_on_it(operator: HostFacts) -> None:
    present = network("zz")
    plan = planned(joined(with_networks(operator, present), present, BALANCER, API[0]), "zz")

    assert [action.kind for action in plan.actions] == ["connect_network"]
    connect = plan.actions[0]
    assert isinstance(connect, ConnectNetwork)
    assert {member.container for member in connect.members} == set(API[1:])


def test_a_network_that_all_are_on_serves_instead_of_a_new_one(operator: HostFacts) -> None:
    common = network("shop_default")
    plan = planned(joined(with_networks(operator, common), common))

    assert (plan.name, plan.actions, plan.refusals) == ("shop_default", (), ())
    assert [warning.code for warning in plan.warnings] == ["common-network"]


@pytest.mark.parametrize(
    "changes",
    [
        {"options": {"com.docker.network.bridge.enable_icc": "false"}},
        {"driver": "overlay"},
        {"name": "docker_gwbridge"},
    ],
)
def test_a_network_that_does_not_serve_is_none_that_all_share(operator: HostFacts, changes: dict[str, Any]) -> None:
    common = network("common").model_copy(update=changes)
    plan = planned(joined(with_networks(operator, common), common))

    assert plan.name == "remedy-lb"
    assert plan.refusals == ()


@pytest.mark.parametrize("changes", [{"options": NO_ICC}, {"driver": "macvlan", "bridge": None}])
def test_a_named_network_that_does_not_serve_is_refused(operator: HostFacts, changes: dict[str, Any]) -> None:
    assert codes(planned(with_networks(operator, network("zz", **changes)), "zz")) == ["network-unfit"]


@pytest.mark.parametrize("mode", ["host", "none", "container:0123"])
def test_a_container_without_a_network_of_its_own_cannot_join(operator: HostFacts, mode: str) -> None:
    facts = edited(operator, lambda c: {"network_mode": mode} if c.name == API[0] else {})

    assert codes(planned(facts)) == ["cannot-join"]
    assert planned(facts).actions == ()


def test_who_does_not_run_is_left_out_and_said(operator: HostFacts) -> None:
    plan = planned(edited(operator, lambda c: {"pid": 0, "state": "exited"} if c.name == API[0] else {}))

    assert API[0] in plan.warnings[0].what
    assert all(
        member.container != API[0]
        for action in plan.actions
        if isinstance(action, ConnectNetwork)
        for member in action.members
    )


def test_backends_that_become_neighbours_are_named(operator: HostFacts) -> None:
    apart = network("apart", "172.29.0.0/24")
    moved = {"endpoints": (Endpoint(network_id=apart.id, network_name=apart.name),)}
    facts = edited(with_networks(operator, apart), lambda c: moved if c.name == API[0] else {})

    assert [warning.code for warning in planned(facts).warnings] == ["new-neighbours"]
    assert planned(operator).warnings == ()


# --- whose default route ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["operator-20.10", "operator-28.5"])
@pytest.mark.parametrize(
    ("joining", "moves"),
    [
        (network("aaa"), True),
        (network("Zaa"), True),  # capitals sort before small letters
        (network("zzz"), False),
        (network("aaa", internal=True), False),
        (network("zzz", "172.28.0.0/24", "fd00::/64"), True),  # two gateways before one, whatever the names
    ],
    ids=lambda value: value.name if isinstance(value, Network) else str(value),
)
def test_the_default_route_follows_the_engines_order(facts_of: Load, host: str, joining: Network, moves: bool) -> None:
    plan = planned(with_networks(facts_of(host), joining), joining.name)

    assert ("default-route-would-move" in codes(plan)) is moves
    assert len(plan.refusals) <= 1


@pytest.mark.parametrize(("host", "moves"), [("operator-20.10", True), ("operator-28.5", False)])
def test_a_priority_counts_where_the_engine_has_them(facts_of: Load, host: str, moves: bool) -> None:
    facts = edited(
        facts_of(host),
        lambda c: {"endpoints": tuple(e.model_copy(update={"gateway_priority": 5}) for e in c.endpoints)},
    )

    assert ("default-route-would-move" in codes(planned(with_networks(facts, network("aaa")), "aaa"))) is moves


def test_who_had_no_way_out_is_given_none(operator: HostFacts) -> None:
    inner = network("inner", "172.29.0.0/24", internal=True)
    facts = edited(
        with_networks(operator, inner, network("zzz")),
        lambda _: {"endpoints": (Endpoint(network_id=inner.id, network_name=inner.name),)},
    )

    assert codes(planned(facts, "zzz")) == ["default-route-would-move"]


# --- which subnet ----------------------------------------------------------------------------------------------------


def test_wide_routes_of_a_vpn_count_and_halves_of_everything_do_not(operator: HostFacts) -> None:
    assert subnet_of(planned(with_routes(operator, "0.0.0.0/1", "128.0.0.0/1"))) == "172.30.255.0/24"
    assert subnet_of(planned(with_routes(operator, "172.16.0.0/12"))) == "10.254.255.0/24"
    assert subnet_of(planned(with_routes(operator, "172.30.255.0/26", table="51820"))) == "172.30.254.0/24"


def test_a_host_whose_routes_take_everything_needs_a_subnet_in_the_spec(operator: HostFacts) -> None:
    facts = with_routes(operator, "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")

    assert codes(planned(facts)) == ["no-subnet"]
    assert planned(facts, subnet=IPv4Network("100.64.9.0/24")).refusals == ()
    assert codes(planned(facts, subnet=IPv4Network("10.9.9.0/24"))) == ["subnet-collides"]


def test_ranges_that_routing_rules_name_are_taken(operator: HostFacts) -> None:
    host, *others = operator.namespaces
    rule = RoutingRule(family=4, priority=100, source="172.30.0.0/16", table="7")
    facts = operator.model_copy(
        update={"namespaces": (host.model_copy(update={"rules": (*host.rules, rule)}), *others)}
    )

    assert subnet_of(planned(facts)) == "172.29.255.0/24"


def test_the_operators_own_pools_come_first(operator: HostFacts) -> None:
    pools: dict[str, object] = {"default-address-pools": [{"base": "10.77.0.0/16", "size": 24}]}
    daemon_json = operator.daemon_json.model_copy(update={"parsed": pools})

    assert subnet_of(planned(operator.model_copy(update={"daemon_json": daemon_json}))) == "10.77.255.0/24"


def test_no_range_next_to_a_machine_that_is_talked_to(operator: HostFacts) -> None:
    haproxy = operator.haproxies[0]
    away = haproxy.servers[0].model_copy(update={"host": "172.30.4.5", "addresses": (ip_address("172.30.4.5"),)})
    facts = operator.model_copy(update={"haproxies": (haproxy.model_copy(update={"servers": (away,)}),)})

    assert subnet_of(planned(facts)) == "172.29.255.0/24"


@pytest.mark.parametrize(
    ("host", "sysctl", "refused"),
    [
        ("operator-28.5", "net.ipv4.ip_forward", True),
        ("operator-20.10", "net.ipv4.ip_forward", False),
        ("operator-28.5", "net.ipv6.conf.all.forwarding", True),
        ("operator-20.10", "net.ipv6.conf.all.forwarding", True),
    ],
)
def test_no_host_is_made_a_router(facts_of: Load, host: str, sysctl: str, refused: bool) -> None:
    facts = facts_of(host)
    router = facts.model_copy(update={"sysctls": {**facts.sysctls, "net.ipv6.conf.all.forwarding": "1"}})
    none = router.model_copy(update={"sysctls": {**router.sysctls, sysctl: "0"}})

    assert codes(planned(router, subnet6=SIX)) == []
    assert codes(planned(none, subnet6=SIX)) == ["forwarding-would-change"] * refused


def test_too_small_a_subnet_is_refused(operator: HostFacts) -> None:
    assert codes(planned(operator, subnet=IPv4Network("100.64.9.0/29"))) == []
    assert codes(planned(operator, subnet=IPv4Network("100.64.9.0/30"))) == ["subnet-too-small"]


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(5, 30)), max_size=40), st.integers(2, 3000))
def test_what_is_chosen_is_free_and_large_enough(ranges: list[tuple[int, int]], containers: int) -> None:
    taken = [Taken(IPv4Network(pair, strict=False), "x") for pair in ranges]
    facts = HostFacts.model_construct(
        daemon_json=DaemonJson(path="", exists=False), namespaces=(), haproxies=(), conntrack=NOTHING_TRACKED
    )

    found = free_subnet(facts, taken, containers)

    if found is not None:
        assert collision(found, taken) is None
        assert found.num_addresses >= 2 * containers
        assert any(found.subnet_of(pool) for pool in POOLS)


# --- which names -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dev1-api-1", "My.App_2", "a" * 63, "10-0", "beef", "3com.example"])
def test_names_that_can_be_asked_for(name: str) -> None:
    assert is_safe_name(name)


@pytest.mark.parametrize(
    "name", ["a..b", "a.", "a" * 64, "10.0.0.1", "7", "0x7f.1", "x y", "a\nb", ".".join(["a"] * 128)]
)
def test_names_that_cannot(name: str) -> None:
    assert not is_safe_name(name)
    assert is_safe_name(safe_alias(name))


def test_a_name_that_libc_knows_already_gets_an_alias(operator: HostFacts) -> None:
    facts = edited(operator, lambda c: {"extra_hosts": (f"{API[0]}:192.0.2.1",)} if c.name == BALANCER else {})
    plan = planned(facts)
    first = next(c.id for c in facts.containers if c.name == API[0])

    assert plan.names[first] == safe_alias(API[0])
    assert [warning.code for warning in plan.warnings] == ["alias-needed"]
    members = [m for action in plan.actions if isinstance(action, ConnectNetwork) for m in action.members]
    assert safe_alias(API[0]) in next(m.aliases for m in members if m.container == API[0])


def test_a_name_that_another_container_answers_to_is_refused(operator: HostFacts) -> None:
    present = network("zz")
    facts = joined(with_networks(operator, present), present, API[2], aliases=(API[0].upper(),))

    assert codes(planned(facts, "zz")) == ["name-is-taken"]


def test_a_name_that_another_network_of_the_balancer_knows_is_asked_for_with_its_network(operator: HostFacts) -> None:
    front = network("front", "172.29.0.0/24", internal=True)
    plan = planned(joined(with_networks(operator, front), front, BALANCER, API[0]))
    by_name = {c.name: plan.names[c.id] for c in operator.containers}

    assert by_name[API[0]] == f"{API[0]}.remedy-lb"
    assert by_name[API[1]] == API[1]


def test_a_service_has_an_alias_that_is_its_own(operator: HostFacts) -> None:
    plan = planned(operator)
    members = [m for action in plan.actions if isinstance(action, ConnectNetwork) for m in action.members]

    assert plan.service_aliases["dev1", "api"] == "dev1-api"
    assert all("dev1-api" in member.aliases for member in members if member.container in API)


def test_members_that_are_there_already_keep_the_alias_that_compose_gave_them(operator: HostFacts) -> None:
    present = network("zz")
    facts = joined(with_networks(operator, present), present, *API[:2], aliases=("api",))

    assert planned(facts, "zz").service_aliases["dev1", "api"] == "api"


def test_a_replica_that_does_not_run_is_of_the_service_too(operator: HostFacts) -> None:
    present = network("zz")
    facts = joined(with_networks(operator, present), present, *API, aliases=("api",))
    stopped = tuple(
        container.model_copy(update={"state": "created", "pid": 0}) if container.name == API[2] else container
        for container in facts.containers
    )

    assert planned(facts.model_copy(update={"containers": stopped}), "zz").service_aliases["dev1", "api"] == "api"


def test_an_alias_that_others_share_is_no_services(operator: HostFacts) -> None:
    present = network("zz")
    facts = joined(with_networks(operator, present), present, *API, BALANCER, aliases=("all",))

    assert planned(facts, "zz").service_aliases == {}


@pytest.mark.parametrize(
    ("subnets", "prefer"),
    [(["172.28.0.0/24"], None), (["172.28.0.0/24", "fd00::/64"], "ipv4"), (["fd00::/64"], "ipv6")],
)
def test_haproxy_is_told_which_addresses_to_take(operator: HostFacts, subnets: list[str], prefer: str | None) -> None:
    assert planned(with_networks(operator, network("zz", *subnets, internal=True)), "zz").resolve_prefer == prefer
