"""Facts against real engines: what remedy reads is what is there, and reading changes nothing.

Every check has a second source: the engine's command line client, /proc, ss, or the test's own connections.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network

import pytest

from remedy.facts import HostFacts, parse_facts
from remedy.facts.model import Connection, FirewallBackend, NetNamespace, Protocol
from remedy.lab import ENGINES, FIREWALLS, Host, load_topology

pytestmark = pytest.mark.lab

LabHost = Callable[..., Host]

TOPOLOGY = """
networks:
  - {name: front, subnets: [172.30.1.0/24]}
  - {name: six, subnets: [172.30.2.0/24, "fd00:6::/64"], ipv6: true}
  - {name: inner, internal: true}
containers:
  - {name: web, publish: ["5001:8080", "127.0.0.1:5002:8080"]}
  - {name: side, role: echo, network_mode: "container:web", listen: [7007]}
  - {name: six1, networks: [six], publish: ["5003:8080"]}
  - {name: two, networks: [{network: front, aliases: [deux]}, inner], publish: ["5004:8080"]}
  - {name: dns, role: echo, listen: [5353], publish: ["5005:5353/udp"]}
  - {name: onhost, role: echo, network_mode: host, listen: [7001]}
  - {name: alone, role: idle, network_mode: none}
  - {name: gone, role: idle, publish: ["5006:8080"], state: stopped}
  - {name: new, role: idle, state: created}
  - {name: frozen, publish: ["5007:8080"], state: paused}
  - name: lb
    role: haproxy
    networks: [front]
    publish: ["80:8080"]
    env: {BACKEND: "172.17.0.1:5001", DB_PASSWORD: hunter2}
    files:
      - path: /usr/local/etc/haproxy/haproxy.cfg
        content: |
          defaults
            mode http
            timeout connect 1s
            timeout client 9s
            timeout server 9s
          frontend f
            bind :8080
            default_backend b
          backend b
            server a "${BACKEND}" check port 8080
            server-template t 2 two:8080 init-addr none
"""

# A program that holds connections to ADDRESS:PORT... until it is killed.
HOLD = """
import socket, sys, time
held = []
for target in sys.argv[1:]:
    address, port = target.rsplit("|", 1)
    held.append(socket.create_connection((address, int(port)), 5))
print("held", flush=True)
time.sleep(120)
"""

# Everything on the host that a reader might disturb, without what changes by itself.
DISTURBABLE = """
cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null
nft --stateless list ruleset
for table in $(cat /proc/net/ip_tables_names 2>/dev/null); do iptables-legacy-save -t $table; done | grep -v '^[#:]'
sysctl -a 2>/dev/null | grep '^net\\.' | grep -v -e conntrack_count -e '\\.mc_' -e stable_secret
ip -details link | grep -o 'hairpin [a-z]*'
docker ps --all --no-trunc --quiet
ls -lR --time-style=full-iso /etc/docker 2>&1
"""


def read_facts(host: Host) -> HostFacts:
    return parse_facts(host.run(["remedy", "facts"]).stdout)


def container_namespace(facts: HostFacts, name: str) -> NetNamespace:
    identity = next(container.id for container in facts.containers if container.name == name)
    return next(namespace for namespace in facts.namespaces if identity in namespace.containers)


def host_namespace(facts: HostFacts) -> NetNamespace:
    assert facts.namespaces[0].is_host
    return facts.namespaces[0]


@contextmanager
def holding(host: Host, *targets: str, container: str | None = None) -> Iterator[None]:
    """Hold connections from the host, or from a container's network namespace."""
    command = ["python3", "-c", HOLD, *targets]
    if container is not None:
        pid = json.loads(host.run(["docker", "inspect", container]).stdout)[0]["State"]["Pid"]
        command = ["nsenter", f"--net=/proc/{pid}/ns/net", *command]
    with host.popen(command, stdout=-1) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            process.kill()


def restart_engine(host: Host, daemon_json: dict[str, object]) -> None:
    host.write_file("/etc/docker/daemon.json", json.dumps(daemon_json))
    host.run(["systemctl", "reset-failed", "docker"])
    host.run(["systemctl", "restart", "docker"], timeout=60)


def find(connections: tuple[Connection, ...], remote: str, port: int) -> Connection:
    (found,) = [
        one
        for one in connections
        if (one.remote_address, one.remote_port) == (ip_address(remote), port) and one.state == "ESTABLISHED"
    ]
    return found


MATRIX = [(engine, firewall) for engine in ENGINES for firewall in FIREWALLS]


@pytest.fixture(scope="module", params=MATRIX, ids="-".join)
def host(request: pytest.FixtureRequest, module_lab_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Host:
    engine, firewall = request.param
    file = tmp_path_factory.mktemp("topology") / "facts.yaml"
    file.write_text(TOPOLOGY)
    return module_lab_host(engine=engine, firewall=firewall, topology=load_topology(file))


@pytest.fixture(scope="module")
def facts(host: Host) -> HostFacts:
    return read_facts(host)


def test_nothing_is_left_unread(facts: HostFacts) -> None:
    assert facts.unread == ()


def test_reading_changes_nothing(host: Host, facts: HostFacts) -> None:
    before = host.run(["sh", "-c", DISTURBABLE]).stdout
    read_facts(host)
    assert host.run(["sh", "-c", DISTURBABLE]).stdout == before


def test_reading_twice_reads_the_same(host: Host) -> None:
    def lasting(read: HostFacts) -> dict[str, object]:
        content = read.model_dump(exclude={"gathered_at", "gather_seconds", "conntrack", "docker_proxies"})
        content["sysctls"].pop("net.netfilter.nf_conntrack_count")
        for namespace in content["namespaces"]:
            del namespace["connections"]
        # Policies carry packet counters.
        for table in content["firewall"]["tables"]:
            table["text"] = re.sub(r"\[\d+:\d+\]", "", table["text"])
        return content

    differing: set[str] = set()
    for _ in range(5):  # a fresh interface gets its link-local address a second or two later
        first, second = lasting(read_facts(host)), lasting(read_facts(host))
        differing = {key for key in first if first[key] != second[key]}
        if not differing:
            return
        time.sleep(1)
    assert differing == set()


def test_the_engine_is_described(host: Host, facts: HostFacts) -> None:
    assert facts.engine.version.startswith(host.engine)
    assert facts.host.hostname == host.name
    assert facts.engine.pid == int(host.run(["systemctl", "show", "--value", "-p", "MainPID", "docker"]).stdout)
    assert facts.engine.command_line[0] == "/usr/sbin/dockerd"
    assert facts.engine.started_at is not None
    assert abs(facts.gathered_at.timestamp() - facts.engine.started_at.timestamp()) < 600
    assert facts.engine.userland_proxy is True
    assert facts.systemd.unit == "docker.service"
    assert facts.systemd.start_limit_burst == 3


def test_the_rules_are_those_of_the_variant_that_the_engine_uses(host: Host, facts: HostFacts) -> None:
    legacy = host.firewall == "legacy"
    assert facts.firewall.backend is (FirewallBackend.IPTABLES_LEGACY if legacy else FirewallBackend.IPTABLES_NFT)
    assert {table.variant for table in facts.firewall.tables} == {host.firewall}
    (text,) = [table.text for table in facts.firewall.tables if table.family == 4]
    assert "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER" in text
    assert "# Generated" not in text
    program = f"iptables-{host.firewall}-save"
    saved = host.run([program, "-t", "nat"]).stdout
    rules = [line for line in saved.splitlines() if line.startswith("-A")]
    nat = text[text.index("*nat") :]
    assert [line for line in nat[: nat.index("COMMIT")].splitlines() if line.startswith("-A")] == rules


def test_containers_are_what_the_engine_says(host: Host, facts: HostFacts) -> None:
    listed = host.run(["docker", "ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}"]).stdout
    assert sorted(f"{one.id} {one.name} {one.state}" for one in facts.containers) == sorted(listed.splitlines())
    by_name = {container.name: container for container in facts.containers}
    assert [
        (str(port.host_address), port.host_port) for port in by_name["web"].ports if port.host_address.version == 4
    ] == [
        ("0.0.0.0", 5001),
        ("127.0.0.1", 5002),
    ]
    assert by_name["gone"].ports == by_name["new"].ports == ()
    assert by_name["frozen"].is_running
    assert "deux" in by_name["two"].endpoints[0].aliases
    assert by_name["lb"].environment["BACKEND"] == "172.17.0.1:5001"
    assert by_name["lb"].environment["DB_PASSWORD"] == ""


def test_networks_know_bridge_and_gateways(facts: HostFacts) -> None:
    networks = {network.name: network for network in facts.networks}
    assert networks["bridge"].gateways == (ip_address("172.17.0.1"),)
    assert set(networks["six"].gateways) == {ip_address("172.30.2.1"), ip_address("fd00:6::1")}
    assert networks["inner"].internal
    links = {link.name for link in host_namespace(facts).links}
    assert {network.bridge for network in facts.networks if network.bridge} <= links


def test_proxies_and_their_sockets_are_found(host: Host, facts: HostFacts) -> None:
    running = {int(line) for line in host.run(["pgrep", "-x", "docker-proxy"]).stdout.split()}
    assert {proxy.pid for proxy in facts.docker_proxies} == running
    listening = {(one.protocol, one.address, one.port): one for one in host_namespace(facts).listening}
    for proxy in facts.docker_proxies:
        socket = listening[proxy.protocol, proxy.host_address, proxy.host_port]
        assert socket.pid == proxy.pid
        assert socket.program == "docker-proxy"


def test_listening_sockets_are_those_of_ss_in_every_namespace(host: Host, facts: HostFacts) -> None:
    for namespace in facts.namespaces:
        listed = host.run(["nsenter", f"--net=/proc/{namespace.pid}/ns/net", "ss", "-lntueH"]).stdout
        assert sorted(one.inode for one in namespace.listening) == sorted(
            int(number) for number in re.findall(r"\bino:(\d+)", listed)
        )


def test_containers_that_share_a_namespace_are_one(facts: HostFacts) -> None:
    assert container_namespace(facts, "side") == container_namespace(facts, "web")
    assert container_namespace(facts, "onhost").is_host
    assert [link.name for link in container_namespace(facts, "alone").links] == ["lo"]
    ports = {one.port for one in container_namespace(facts, "side").listening}
    assert {7007, 8080} <= ports


def test_each_listening_socket_names_the_container_whose_process_holds_it(facts: HostFacts) -> None:
    names = {container.id: container.name for container in facts.containers}
    held = {
        (one.port, names.get(one.container_id or ""))
        for namespace in facts.namespaces
        for one in namespace.listening
        if one.program not in {"dockerd", "containerd"} and (one.container_id or namespace.is_host)
    }
    assert {(8080, "web"), (8080, "frozen"), (8080, "lb"), (7007, "side"), (7001, "onhost"), (5001, None)} <= held
    assert not {(8080, "side"), (7007, "web")} & held
    for namespace in facts.namespaces[1:]:
        assert {one.program for one in namespace.listening if one.container_id is None} <= {"dockerd"}


def test_a_foreign_nft_table_is_read_with_its_sets(host: Host) -> None:
    bad = "set bad { type ipv4_addr; elements = { 10.9.9.9 } }"
    guard = f"table inet guard {{ {bad}; chain in {{ ip saddr @bad drop; }}; }}"
    host.run(["nft", guard])
    try:
        facts = read_facts(host)
    finally:
        host.run(["nft", "delete table inet guard"])
    kinds = {kind: content for item in facts.firewall.nft_json["inet guard"] for kind, content in item.items()}
    assert kinds["set"]["elem"] == ["10.9.9.9"]
    assert kinds["rule"]["chain"] == "in"
    assert facts.unread == ()


def test_addresses_and_routes_of_each_namespace_are_read(facts: HostFacts) -> None:
    two = container_namespace(facts, "two")
    assert {str(one.address.network) for one in two.addresses if one.address.version == 4} >= {"172.30.1.0/24"}
    defaults = [route for route in two.routes if route.destination is None and route.family == 4]
    assert [route.gateway for route in defaults] == [ip_address("172.30.1.1")]
    local = [route for route in host_namespace(facts).routes if route.table == "local"]
    assert any(route.destination == ip_network("172.17.0.1/32") for route in local)


def test_each_bridge_port_knows_its_container(facts: HostFacts) -> None:
    names = {container.id: container.name for container in facts.containers}
    bridges = {network.name: network.bridge for network in facts.networks}
    owned = {(port.bridge, names[port.container_id or ""]) for port in facts.bridge_ports}
    expected = {("bridge", name) for name in ("web", "dns", "frozen")}
    expected |= {("six", "six1"), ("front", "two"), ("inner", "two"), ("front", "lb")}
    assert owned == {(bridges[network], name) for network, name in expected}
    assert not any(port.hairpin_mode for port in facts.bridge_ports)


def test_haproxys_servers_are_read_with_variables_of_its_process(facts: HostFacts) -> None:
    (haproxy,) = facts.haproxies
    lb = next(container for container in facts.containers if container.name == "lb")
    assert haproxy.container_id == lb.id
    assert haproxy.problem is None
    assert [(one.name, one.host, one.port, one.check_port) for one in haproxy.servers] == [
        ("a", "172.17.0.1", 5001, 8080),
        ("t[1-2]", "two", 8080, None),
    ]


def test_consumers_are_seen_from_both_ends(host: Host) -> None:
    with (
        holding(host, "::1|5003", "127.0.0.1|5002"),
        holding(host, "172.17.0.1|5001", "172.17.0.1|5001", container="two"),
    ):
        time.sleep(0.3)
        facts = read_facts(host)
    inside = container_namespace(facts, "two")
    consumer = find(inside.connections, "172.17.0.1", 5001)
    assert consumer.count == 2
    assert consumer.program == "python3"
    outside = host_namespace(facts).connections
    accepted = [one for one in outside if one.local_port == 5001 and one.program == "docker-proxy"]
    assert [(str(one.local_address), one.count) for one in accepted] == [("172.17.0.1", 2)]
    assert find(outside, "::1", 5003).program == "python3"
    assert find(outside, "127.0.0.1", 5002).program == "python3"
    tracked = {(str(one.source), str(one.destination), one.destination_port): one for one in facts.conntrack.entries}
    web = next(container for container in facts.containers if container.name == "web")
    assert web.endpoints[0].ipv4
    asked = tracked[str(consumer.local_address), "172.17.0.1", 5001]
    assert asked.count >= 2
    assert asked.reply_source == asked.destination  # no DNAT: docker-proxy took it
    assert tracked["172.17.0.1", str(web.endpoints[0].ipv4.ip), 8080].count >= 2


def test_other_peoples_secrets_and_traffic_are_not_in_the_file(host: Host) -> None:
    with holding(host, "127.0.0.1|7001"):
        text = host.run(["remedy", "facts"]).stdout
    assert "hunter2" not in text
    facts = parse_facts(text)
    assert not [one for one in host_namespace(facts).connections if 7001 in {one.local_port, one.remote_port}]


def test_a_user_without_rights_is_told_so(host: Host) -> None:
    # The capability only lets the user read remedy's own files, wherever the lab has them.
    nobody = ["setpriv", "--reuid", "65534", "--clear-groups"]
    nobody += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    done = host.run([*nobody, "remedy", "facts"], check=False)
    assert done.status == 1
    assert "may not use Docker's socket" in done.stderr


def test_containers_that_come_and_go_do_not_disturb_the_reading(host: Host) -> None:
    churn = (
        "while :; do docker restart --time 0 web six1 >/dev/null 2>&1; docker network connect inner web; "
        "docker network disconnect inner web; done"
    )
    with host.popen(["sh", "-c", churn], stdout=-3, stderr=-3) as churning:
        try:
            for _ in range(8):
                seen = {container.name for container in read_facts(host).containers}
                assert {"web", "six1", "two", "lb"} <= seen
        finally:
            churning.kill()
    time.sleep(1.0)
    host.run(["docker", "restart", "--time", "0", "web", "six1"], timeout=60)
    host.run(["docker", "network", "disconnect", "inner", "web"], check=False)
    assert read_facts(host).unread == ()


def test_the_proxy_off_is_seen_by_its_rules_and_hairpin_ports(host: Host) -> None:
    restart_engine(host, {"userland-proxy": False})
    host.run(["docker", "start", "web"], timeout=60)
    facts = read_facts(host)
    assert facts.engine.userland_proxy is False
    assert facts.engine.userland_proxy_evidence == "nat OUTPUT's jump to DOCKER includes loopback"
    assert facts.docker_proxies == ()
    assert facts.daemon_json.parsed == {"userland-proxy": False}
    web = next(container for container in facts.containers if container.name == "web")
    (port,) = [port for port in facts.bridge_ports if port.container_id == web.id]
    assert port.hairpin_mode
    assert facts.sysctls["net.ipv4.conf.docker0.route_localnet"] == "1"
    (listener,) = [
        one
        for one in host_namespace(facts).listening
        if (one.protocol, one.port, one.address.version) == (Protocol.TCP, 5001, 4)
    ]
    assert listener.program == "dockerd"


def test_an_engine_that_is_down_is_said_with_the_next_step(host: Host) -> None:
    host.run(["systemctl", "stop", "docker.socket", "docker.service"], timeout=60)
    done = host.run(["remedy", "facts"], check=False)
    assert done.status == 1
    assert "Docker does not answer at unix:///var/run/docker.sock" in done.stderr
    assert "systemctl status docker" in done.stderr


@pytest.mark.parametrize(("containers", "seconds"), [(20, 1.2), (64, 2.2)])
def test_reading_a_whole_host_costs_little(lab_host: LabHost, containers: int, seconds: float) -> None:
    host = lab_host(engine=ENGINES[-1], scale={"api": containers - 1})
    # Processor time of the whole command: how long it takes depends on what else the machine does (on an idle one
    # with two cores half of this).
    command = ["bash", "-c", "TIMEFORMAT='%U %S'; time remedy facts > /dev/null"]
    spent = [sum(map(float, host.run(command).stderr.split())) for _ in range(3)]
    assert min(spent) < seconds
