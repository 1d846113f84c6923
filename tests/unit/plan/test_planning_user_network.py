"""user_network: which servers are led where, what changes in the file, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from remedy.facts.haproxy_config import Reading, parse_config
from remedy.facts.model import HaproxyFile, HaproxySocket, HostFacts
from remedy.plan.actions import ConnectNetwork, CreateNetwork, RewireHaproxy, SwitchUserlandProxy
from remedy.plan.model import Plan

CFG = "/usr/local/etc/haproxy/haproxy.cfg"
OPERATOR = """\
global
    stats socket /var/run/haproxy.sock level admin
defaults
    mode http
frontend web
    bind :443
    default_backend api
backend api
\tserver api1 172.17.0.1:5001 check   # the first
\tserver api2 172.17.0.1:5002 check
\tserver api3 172.17.0.1:5003 check
"""
API = ["dev1-api-1", "dev1-api-2", "dev1-api-3"]
BALANCED = {"load_balancer": "dev1-haproxy-1", "backends": [{"containers": API, "port": 8080}]}


def with_config(facts: HostFacts, text: str, **changes: Any) -> HostFacts:
    """The host with this configuration, mounted from the host and reloadable."""
    reading = Reading()
    parse_config(text, CFG, {}, reading)
    raw = text.encode()
    file = HaproxyFile(
        path=CFG, raw=raw, device=1, inode=2, mode=0o644, uid=0, gid=0,
        host_path="/srv/dev1/haproxy.cfg", host_device=1, host_inode=2,
    )  # fmt: skip
    values: dict[str, Any] = {
        "servers": tuple(reading.servers),
        "files": (file,),
        "is_master_worker": True,
        "version": "3.0.11",
        "sockets": (HaproxySocket(address="/var/run/haproxy.sock", level="admin"),),
    }
    values |= changes
    return facts.model_copy(update={"haproxies": (facts.haproxies[0].model_copy(update=values),)})


@pytest.fixture
def operator(facts_of: Callable[[str], HostFacts]) -> HostFacts:
    return with_config(facts_of("operator-28.5"), OPERATOR)


@pytest.fixture
def planned(plan_for: Callable[..., Plan]) -> Callable[..., Plan]:
    def plan(facts: HostFacts, network: object = "remedy-lb", **keys: Any) -> Plan:
        remedies = {"user_network": network, **keys.pop("remedies", {})}
        return plan_for(facts, **{**BALANCED, **keys}, remedies=remedies)

    return plan


def rewired(plan: Plan) -> RewireHaproxy:
    return next(action for action in plan.actions if isinstance(action, RewireHaproxy))


def content(plan: Plan) -> str:
    return (rewired(plan).files[0].content.raw or b"").decode()


def test_an_internal_network_is_made_joined_and_haproxy_led_by_name(
    operator: HostFacts, planned: Callable[..., Plan]
) -> None:
    plan = planned(operator)

    assert plan.refusals == ()
    assert [action.kind for action in plan.actions] == ["create_network", "connect_network", "rewire_haproxy"]
    create, connect = plan.actions[0], plan.actions[1]
    assert isinstance(create, CreateNetwork)
    assert isinstance(connect, ConnectNetwork)
    assert create.internal
    assert str(create.subnets[0]) == "172.30.255.0/24"
    assert {member.container for member in connect.members} == {"dev1-haproxy-1", *API}
    led = {server.name: (server.host, server.port) for server in rewired(plan).servers}
    assert len(led) == 3
    assert rewired(plan).joined == tuple(member.container_id for member in connect.members)
    assert all(host.startswith("dev1-api-") and port == 8080 for host, port in led.values())


def test_only_words_of_the_server_lines_change_and_a_section_is_added(
    operator: HostFacts, planned: Callable[..., Plan]
) -> None:
    plan = planned(operator)
    after = content(plan).splitlines()
    before = OPERATOR.splitlines()

    changed = [number for number, line in enumerate(before) if after[number] != line]

    assert [before[number].split()[1] for number in changed] == ["api1", "api2", "api3"]
    host = rewired(plan).servers[0].host
    options = "resolvers remedy init-addr last,libc,none"
    assert after[changed[0]] == f"\tserver api1 {host}:8080 check {options}   # the first"
    assert after[len(before) + 2] == "resolvers remedy"


def test_servers_lead_to_the_container_that_the_port_belongs_to(
    operator: HostFacts, planned: Callable[..., Plan]
) -> None:
    owners = {binding.host_port: c.name for c in operator.containers for binding in c.ports}

    led = {server.port_before: server.container for server in rewired(planned(operator)).servers}

    assert led == {port: owners[port] for port in (5001, 5002, 5003)}


def test_the_ways_that_haproxy_leaves_are_direct_afterwards(operator: HostFacts, planned: Callable[..., Plan]) -> None:
    plan = planned(operator, remedies={"userland_proxy": False})

    ways = {(path.to, path.before): path.after for path in plan.paths if path.from_ == "dev1-haproxy-1"}

    assert rewired(plan).moved == ("172.17.0.1:5001", "172.17.0.1:5002", "172.17.0.1:5003")
    assert ways == {(f"172.17.0.1:{port}", "docker-proxy"): "direct" for port in (5001, 5002, 5003)}
    kinds = [action.kind for action in plan.actions]
    assert kinds.index("rewire_haproxy") < kinds.index("userland_proxy")


def test_who_is_led_elsewhere_is_not_cut_off_when_the_proxy_goes(
    facts_of: Callable[[str], HostFacts], plan_for: Callable[..., Plan]
) -> None:
    facts = facts_of("cross-26.1")
    lines = [f"    server s{s.port} {s.host}:{s.port}" for s in facts.haproxies[0].servers]
    crossing = with_config(facts, "backend api\n" + "\n".join(lines) + "\n")
    ports = {s.port for s in facts.haproxies[0].servers}
    backends = [c for c in facts.containers if any(b.host_port in ports for b in c.ports)]
    balancer = next(c for c in facts.containers if c.id == facts.haproxies[0].container_id)
    keys = {
        "load_balancer": balancer.name,
        "backends": [{"containers": [c.name for c in backends], "port": backends[0].ports[0].container_port}],
    }

    alone = plan_for(crossing, **keys, remedies={"userland_proxy": False})
    both = plan_for(crossing, **keys, remedies={"userland_proxy": False, "user_network": "remedy-lb"})

    assert "consumer-lost" in {refusal.code for refusal in alone.refusals}
    assert not [r for r in both.refusals if balancer.name in r.what]
    assert any(isinstance(action, SwitchUserlandProxy) for action in both.actions)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("server x 172.17.0.1", "port of its own"),
        ("server x 192.0.2.7:80", "no container"),
        ("server x other.example:80", "neither an address"),
        ("server x 172.17.0.1:5001 check port 9", "check port"),
        ("server x 172.17.0.1:5001 agent-check agent-port 5002", "agent-port"),
        ("server x 172.17.0.1:5001 resolvers mine", "which are not the engine's DNS"),
        ("server x 172.17.0.1:5001 source 172.17.0.5", "source 172.17.0.5"),
        ("server x 172.17.0.1:5001 source 0.0.0.0 usesrc clientip", "usesrc clientip"),
        ("server x 172.17.0.1:5001 source * interface eth0", "interface eth0"),
        ("server x 172.17.0.1:5001 namespace blue", "namespace blue"),
        ("server x 172.17.0.1:5001 socks4 10.0.0.1:1080", "socks4 10.0.0.1:1080"),
        ("source 172.17.0.5\n    server x 172.17.0.1:5001", "source 172.17.0.5"),
        ("http-check connect port 5001\n    server x 172.17.0.1:5001 check", "connects to port 5001"),
        ("tcp-check connect port 5001 ssl\n    server x 172.17.0.1:5001 check", "connects to port 5001"),
    ],
)
def test_a_server_in_doubt_is_left_alone_and_said(
    operator: HostFacts, planned: Callable[..., Plan], line: str, why: str
) -> None:
    plan = planned(with_config(operator, f"{OPERATOR}\n    {line}\n"))

    assert len(rewired(plan).servers) == 3
    assert f"    {line}\n" in content(plan)
    assert [w.detail for w in plan.warnings if w.code == "server-left-alone" and why in w.detail]


@pytest.mark.parametrize(
    "line",
    [
        "server x 172.17.0.1:5001 source 0.0.0.0",
        "server x 172.17.0.1:5001 source *:1024-65535",
        "http-check connect port 8080\n    server x 172.17.0.1:5001 check",
        "http-check connect port 5001\n    server x 172.17.0.1:5001",
        "tcp-check connect addr 192.0.2.1 port 5001\n    server x 172.17.0.1:5001 check",
        "tcp-check connect\n    server x 172.17.0.1:5001 check",
    ],
)
def test_a_server_that_leaves_as_any_other_is_led(operator: HostFacts, planned: Callable[..., Plan], line: str) -> None:
    assert len(rewired(planned(with_config(operator, f"backend more\n    {line}\n"))).servers) == 1


def test_the_check_port_follows_its_server(operator: HostFacts, planned: Callable[..., Plan]) -> None:
    plan = planned(with_config(operator, "backend a\n  server x 172.17.0.1:5001 check port 5001 weight 3\n"))

    line = content(plan).splitlines()[1]

    assert ":8080 check port 8080 weight 3 " in line


def test_an_inherited_check_port_is_said_on_the_line(operator: HostFacts, planned: Callable[..., Plan]) -> None:
    plan = planned(with_config(operator, "backend a\n  default-server port 5001\n  server x 172.17.0.1:5001 check\n"))

    assert content(plan).splitlines()[2].endswith(" check port 8080 resolvers remedy init-addr last,libc,none")


def test_resolvers_that_ask_the_engine_are_used(operator: HostFacts, planned: Callable[..., Plan]) -> None:
    text = "resolvers docker\n  nameserver d 127.0.0.11:53\nbackend a\n  server x 172.17.0.1:5001\n"

    after = content(planned(with_config(operator, text)))

    assert after.endswith(":8080 resolvers docker init-addr last,libc,none\n")


def test_resolvers_that_this_version_does_not_hear_again_are_not_used_and_told(
    operator: HostFacts, planned: Callable[..., Plan]
) -> None:
    text = (
        "resolvers docker\n  nameserver d 127.0.0.11:53\nbackend a\n  server x 172.17.0.1:5001\n"
        "  server y 172.17.0.1:5002 resolvers docker\n"
    )

    plan = planned(with_config(operator, text, version="3.2.26-1"))

    after = content(plan)
    assert ":8080 resolvers remedy init-addr" in after
    assert ":8080 resolvers docker init-addr" in after
    assert "nameserver docker tcp@127.0.0.11:53" in after
    assert [w.what for w in plan.warnings if w.code == "resolvers-by-udp"] == [
        "haproxy 3.2.26-1 may hear of no name any more once the engine was restarted"
    ]


def test_a_server_state_file_does_not_bring_the_old_address_back(
    operator: HostFacts, planned: Callable[..., Plan]
) -> None:
    text = "backend a\n  load-server-state-from-file global\n  server x 172.17.0.1:5001\n"

    assert "init-addr libc,none\n" in content(planned(with_config(operator, text)))


@pytest.mark.parametrize(
    ("lines", "options"),
    [
        (["server a 172.17.0.1:5001", "server b 172.17.0.1:5001"], [True, True]),
        (["server a 172.17.0.1:5001", "server b 172.17.0.1:5002"], [False, False]),
        (["server a 172.17.0.1:5001", "backend other", "server b 172.17.0.1:5001"], [False, None, False]),
        (["server a 172.17.0.1:5001 resolve-opts allow-dup-ip", "server b 172.17.0.1:5001"], [False, True]),
        (
            ["default-server resolve-opts allow-dup-ip", "server a 172.17.0.1:5001", "server b 172.17.0.1:5001"],
            [None, False, False],
        ),
        (
            [
                "server a 172.17.0.1:5001 resolve-opts prevent-dup-ip",
                "server b dev1-api-2:1",
            ],
            [False, None],
        ),
    ],
)
def test_servers_of_a_backend_that_share_a_name_share_its_address(
    operator: HostFacts, planned: Callable[..., Plan], lines: list[str], options: list[bool | None]
) -> None:
    """options: whether the option is added to the line; None: not edited."""
    text = "backend x\n" + "".join(f"  {line}\n" for line in lines)

    after = content(planned(with_config(operator, text))).splitlines()[1 : 1 + len(lines)]

    for before, edited, added in zip(lines, after, options, strict=True):
        assert (edited.strip() == before) is (added is None), edited
        assert ("resolvers remedy init-addr" in edited) is (added is not None), edited
        assert edited.endswith(" last,libc,none resolve-opts allow-dup-ip") is bool(added), edited


@pytest.mark.parametrize(
    ("first", "why"),
    [
        ("server a {name}:8080 resolvers docker", "a at {cfg}:4 has the name {name} already"),
        ("server a 172.17.0.1:5001 resolve-opts prevent-dup-ip", "prevent-dup-ip keeps it from sharing"),
    ],
)
def test_a_server_that_would_take_anothers_address_is_left_alone(
    operator: HostFacts, planned: Callable[..., Plan], first: str, why: str
) -> None:
    name = next(c.name for c in operator.containers for b in c.ports if b.host_port == 5001)
    text = (
        f"resolvers docker\n nameserver d 127.0.0.11:53\nbackend x\n {first.format(name=name)}\n"
        " server b 172.17.0.1:5001\nbackend y\n server c 172.17.0.1:5002\n"
    )

    plan = planned(with_config(operator, text))

    told = [w.detail for w in plan.warnings if w.code == "server-left-alone"]
    assert [detail for detail in told if why.format(name=name, cfg=CFG) in detail], told
    assert "c" in {server.name for server in rewired(plan).servers}


def test_a_server_by_name_that_allows_it_or_asks_nobody_is_no_obstacle(
    operator: HostFacts, planned: Callable[..., Plan]
) -> None:
    name = next(c.name for c in operator.containers for b in c.ports if b.host_port == 5001)
    text = (
        "resolvers docker\n nameserver d 127.0.0.11:53\n"
        f"backend x\n server a {name}:8080 resolvers docker resolve-opts allow-dup-ip\n server b 172.17.0.1:5001\n"
        f"backend y\n server a {name}:8080\n server b 172.17.0.1:5001\n"
    )

    after = content(planned(with_config(operator, text))).splitlines()

    assert after[4].endswith(" resolvers docker init-addr last,libc,none resolve-opts allow-dup-ip")
    assert after[7].endswith(" resolvers docker init-addr last,libc,none")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"is_master_worker": False, "sockets": ()}, "haproxy-cannot-reload"),
        ({"is_master_worker": False}, "pinned"),
        ({"files": ()}, "no-haproxy"),
    ],
)
def test_a_haproxy_that_cannot_take_it_up_is_a_refusal(
    operator: HostFacts, planned: Callable[..., Plan], changes: dict[str, Any], code: str
) -> None:
    plan = planned(with_config(operator, OPERATOR, **changes))

    assert [refusal.code for refusal in plan.refusals] == [code]
    assert plan.actions == ()


def test_a_restart_is_an_explicit_choice_with_its_cost(operator: HostFacts, planned: Callable[..., Plan]) -> None:
    facts = with_config(operator, OPERATOR, is_master_worker=False, sockets=())

    action = rewired(planned(facts, {"name": "remedy-lb", "restart_load_balancer": True}))

    assert action.how == "restart"
    assert action.disruption.level == "connections"
    assert action.disruption.containers == ("dev1-haproxy-1",)


def test_a_file_in_the_image_is_printed_not_written(operator: HostFacts, planned: Callable[..., Plan]) -> None:
    file = operator.haproxies[0].files[0].model_copy(update={"host_path": None, "host_inode": None})

    plan = planned(with_config(operator, OPERATOR, files=(file,)), accept_pinned=True)

    assert rewired(plan).how == "runtime"
    assert rewired(plan).files == ()
    assert "resolvers remedy" in next(w.detail for w in plan.warnings if w.code == "config-in-image")


def test_a_file_that_an_editor_replaced_is_a_refusal(operator: HostFacts, planned: Callable[..., Plan]) -> None:
    file = operator.haproxies[0].files[0].model_copy(update={"host_inode": 77})

    plan = planned(with_config(operator, OPERATOR, files=(file,)))

    assert [refusal.code for refusal in plan.refusals] == ["config-replaced"]


def test_a_probe_of_the_spec_keeps_the_old_way_alive(
    facts_of: Callable[[str], HostFacts], planned: Callable[..., Plan]
) -> None:
    facts = with_config(facts_of("operator-28.5"), OPERATOR)
    probes = [{"from": "dev1-haproxy-1", "to": "172.17.0.1:5001"}]

    plan = planned(facts, probes=probes)

    way = next(p for p in plan.paths if p.from_ == "dev1-haproxy-1" and p.to == "172.17.0.1:5001")
    assert way.after == "docker-proxy"
    assert ("dev1-haproxy-1", "172.17.0.1:5001") in {(probe.from_, probe.to) for probe in plan.probes}


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"load_balancer": None}, "no-load-balancer"),
        ({"load_balancer": {"unit": "haproxy.service"}}, "load-balancer-on-host"),
        ({"backends": []}, "no-backends"),
    ],
)
def test_what_the_spec_must_name_is_a_refusal(
    operator: HostFacts, planned: Callable[..., Plan], keys: dict[str, Any], code: str
) -> None:
    assert [refusal.code for refusal in planned(operator, **keys).refusals] == [code]


def test_hostile_names_never_reach_the_file(operator: HostFacts, planned: Callable[..., Plan]) -> None:
    hostile = "x\n  server evil 192.0.2.1:1;"
    renamed = tuple(
        c.model_copy(update={"name": hostile}) if c.name == "dev1-api-1" else c for c in operator.containers
    )
    facts = operator.model_copy(update={"containers": renamed})

    plan = planned(facts, backends=[{"containers": [hostile, *API[1:]], "port": 8080}])

    assert "evil" not in content(plan).replace("x-server-evil-192-0-2-1-1", "")


def test_a_subnet_that_collides_is_a_refusal(operator: HostFacts, planned: Callable[..., Plan]) -> None:
    plan = planned(operator, {"name": "remedy-lb", "subnet": "172.17.128.0/24"})

    assert [refusal.code for refusal in plan.refusals] == ["subnet-collides"]


def test_the_default_network_has_no_names(operator: HostFacts, planned: Callable[..., Plan]) -> None:
    assert [refusal.code for refusal in planned(operator, "bridge").refusals] == ["network-unfit"]
