"""What must hold for the facts of every recorded host, and what is special about some."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address

import pytest
from captured import NAMES, VARIANT, facts, files

from remedy.captures.facts import load_capture
from remedy.captures.files import TRUTH, CaptureFiles
from remedy.facts.model import FirewallBackend, HostFacts, ListeningSocket, NetNamespace, Protocol

CONTAINERS = {"": 9, "flip": 10, "variant": 22}
every_capture = pytest.mark.parametrize("name", NAMES)


def containers_of(found: HostFacts) -> dict[str, str]:
    return {container.name: container.id for container in found.containers}


def namespace_of(found: HostFacts, name: str) -> NetNamespace:
    own = containers_of(found)[name]
    return next(namespace for namespace in found.namespaces if own in namespace.containers)


def holders(found: HostFacts, sockets: tuple[ListeningSocket, ...]) -> dict[int, str | None]:
    names = {container.id: container.name for container in found.containers}
    return {socket.port: names.get(socket.container_id or "") for socket in sockets}


@every_capture
def test_the_facts_survive_being_written_and_read(name):
    assert HostFacts.model_validate_json(facts(name).model_dump_json()) == facts(name)


@every_capture
def test_the_engine_runs_as_the_recording_says(name):
    meta = files(name).document(TRUTH)["meta"]
    engine = facts(name).engine
    assert engine.version == meta["engine"]
    assert engine.userland_proxy is meta["userland_proxy"]
    assert (facts(name).firewall.backend is FirewallBackend.NFTABLES) == (meta["firewall"] == "nftables")
    assert not facts(name).unread


@every_capture
def test_every_container_is_there_and_in_one_namespace(name):
    found = facts(name)
    kind = name.rpartition("-o")[2].partition("-")[2]
    gateway_modes = 0 if found.engine.version_tuple >= (28, 0) else 2
    assert len(found.containers) == CONTAINERS[kind.partition("-")[0]] - gateway_modes * kind.startswith("variant")
    places = Counter(member for namespace in found.namespaces for member in namespace.containers)
    assert places == {container.id: 1 for container in found.containers if container.is_running}
    assert [namespace.is_host for namespace in found.namespaces].index(True) == 0


@every_capture
def test_every_endpoint_is_an_address_of_the_container_and_a_port_of_its_bridge(name):
    found = facts(name)
    bridges = {network.id: network.bridge for network in found.networks}
    ports = {(port.bridge, port.container_id) for port in found.bridge_ports}
    assert all(port.container_id for port in found.bridge_ports)
    for container in found.containers:
        own = {address.address for address in namespace_of(found, container.name).addresses} if container.pid else ()
        for endpoint in container.endpoints if container.pid and container.network_mode != "host" else ():
            assert endpoint.ipv4 in own
            assert endpoint.ipv6 is None or endpoint.ipv6 in own
            assert (bridges[endpoint.network_id], container.id) in ports


@every_capture
def test_every_docker_proxy_holds_a_socket_for_a_published_port_and_only_with_the_proxy_on(name):
    found = facts(name)
    held = {(socket.pid, socket.address, socket.port) for socket in found.namespaces[0].listening}
    published = {
        (binding.protocol, binding.host_address, binding.host_port)
        for container in found.containers
        for binding in container.ports
    }
    proxied = {(proxy.protocol, proxy.host_address, proxy.host_port) for proxy in found.docker_proxies}
    assert all((proxy.pid, proxy.host_address, proxy.host_port) in held for proxy in found.docker_proxies)
    assert proxied == (published if found.engine.userland_proxy else set())


@every_capture
def test_every_socket_of_a_container_is_its_own_but_the_engines_dns(name):
    for namespace in facts(name).namespaces[1:]:
        for socket in namespace.listening:
            assert (socket.container_id is None) == (socket.program == "dockerd")
            assert socket.container_id is None or socket.container_id in namespace.containers


@every_capture
def test_every_container_has_what_the_kernel_adds_by_itself(name):
    found = facts(name)
    for namespace in found.namespaces[1:]:
        local = {(route.interface, route.destination) for route in namespace.routes if route.table == "local"}
        own = {(item.interface, str(item.address.ip)) for item in namespace.addresses if item.scope != "link"}
        assert ("lo", "127.0.0.1") in own
        assert own <= {(interface, str(subnet.network_address)) for interface, subnet in local if subnet}
        assert {rule.table for rule in namespace.rules if rule.family == 4} == {"local", "main", "default"}
        ipv6 = {item.scope for item in namespace.addresses if item.address.version == 6}
        assert ("global" in ipv6) == any(rule.family == 6 for rule in namespace.rules)
        assert ipv6 or found.engine.version_tuple < (26, 0)


@every_capture
def test_rules_are_told_as_a_live_host_tells_them(name):
    firewall = facts(name).firewall
    assert [table.family for table in firewall.tables] in ([4], [4, 6], [])
    for table in firewall.tables:
        assert "\n[" not in table.text
        assert "# Generated" not in table.text
        assert "\n-A " in table.text
    own = ["ip docker-bridges", "ip6 docker-bridges"]
    assert list(firewall.nft_json) == (own if firewall.backend is FirewallBackend.NFTABLES else [])
    assert firewall.ufw_active == name.endswith("-ufw")


def test_containers_that_share_a_namespace_are_told_apart_by_their_sockets():
    found = facts(VARIANT)
    shared = namespace_of(found, "web1")
    assert shared is namespace_of(found, "side")
    assert holders(found, shared.listening) == {8080: "web1", 8082: "web1", 8083: "side"}


def test_a_container_in_the_hosts_namespace_is_told_from_the_hosts_servers():
    found = facts(VARIANT)
    host = found.namespaces[0]
    assert host.containers == (containers_of(found)["hostnet"],)
    owners = holders(found, host.listening)
    assert {port for port, owner in owners.items() if owner} == {7001}
    assert owners[7002] is owners[7003] is owners[5001] is None


def test_a_socket_on_all_ipv6_addresses_says_that_it_takes_no_ipv4():
    sockets = {(item.port, str(item.address)): item for item in facts(VARIANT).namespaces[0].listening}
    assert sockets[7003, "::"].v6only is True
    assert sockets[7003, "0.0.0.0"].v6only is None
    assert sockets[5014, "::"].protocol is Protocol.UDP


def test_addresses_and_routes_of_the_host_are_those_recorded():
    host = facts(VARIANT).namespaces[0]
    assert {str(item.address.ip) for item in host.addresses if item.interface == "eth0"} >= {"10.98.0.20", "fd98::10"}
    defaults = {str(route.gateway) for route in host.routes if route.destination is None}
    assert defaults == {"10.98.0.254", "fd98::254"}
    assert {link.kind for link in host.links if link.name.startswith(("br-", "docker"))} == {"bridge"}
    assert facts(VARIANT).sysctls["net.ipv4.conf.docker0.route_localnet"] == "0"


def test_a_flip_leaves_the_old_bridge_ports_without_hairpin_mode():
    found = facts("28.5.2-iptables-proxy-off-flip")
    names = {container.id: container.name for container in found.containers}
    assert [names[port.container_id] for port in found.bridge_ports if port.hairpin_mode] == ["late"]


def test_gateways_that_the_engine_does_not_tell_come_from_the_bridge():
    bridge = next(item for item in facts("20.10.24-iptables-proxy-off").networks if item.name == "bridge")
    assert bridge.gateways == (ip_address("172.17.0.1"),)


def test_a_capture_with_hardly_anything_in_it_can_be_read():
    found = load_capture(CaptureFiles("bare", {"container-net.json": b"[]"}))
    assert [namespace.is_host for namespace in found.namespaces] == [True]
    assert found.containers == ()


@pytest.mark.parametrize("absent", sorted(files(VARIANT).content))
def test_a_capture_without_one_of_its_files_can_be_read(absent):
    content = {name: text for name, text in files(VARIANT).content.items() if name != absent}
    assert load_capture(CaptureFiles("x", content)).namespaces[0].is_host


def test_a_foreign_table_that_is_there_as_text_only_is_noted():
    content = {**files(VARIANT).content, "nft.txt": b"table inet guard {\n}\ntable ip filter {\n}\n"}
    found = load_capture(CaptureFiles("x", content))
    assert [note.item for note in found.unread] == ["foreign rules: nft table inet guard"]
    assert "inet guard" in found.firewall.nft_tables
