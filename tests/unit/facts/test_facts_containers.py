"""Containers, networks and docker-proxy processes of recorded engines."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv6Interface, ip_address, ip_interface

import pytest
from recorded_facts import ENGINES, containers, document, text

from remedy.facts.containers import parse_container, parse_ports
from remedy.facts.model import InterfaceAddress, PortBinding, Protocol
from remedy.facts.networks import parse_network, with_bridge_addresses
from remedy.facts.processes import Process, parse_parent, parse_start_ticks, split_arguments
from remedy.facts.proxies import parse_proxy, read_proxies
from remedy.facts.secrets import keep_endpoints

VARIANT = "28.5.2-iptables-proxy-on-variant"


def proxies(engine: str) -> list[Process]:
    lines = text(engine, "docker-proxy.txt").splitlines()
    return [Process(number, 7, "docker-proxy", tuple(line.split())) for number, line in enumerate(lines, start=100)]


def binding(protocol: str, container_port: int, address: str, host_port: int) -> PortBinding:
    return PortBinding(
        protocol=Protocol(protocol),
        container_port=container_port,
        host_address=ip_address(address),
        host_port=host_port,
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_every_recorded_container_is_read(engine: str) -> None:
    recorded = document(engine, "container-inspect.json")
    assert sorted(containers(engine)) == sorted(item["Name"].removeprefix("/") for item in recorded)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_recorded_proxy_serves_a_recorded_binding(engine: str) -> None:
    bindings = {
        (port.protocol, port.host_address, port.host_port, port.container_port)
        for container in containers(engine).values()
        for port in container.ports
    }
    read = read_proxies(proxies(engine), engine_pid=7)
    assert len(read) == len(proxies(engine))
    assert {(one.protocol, one.host_address, one.host_port, one.container_port) for one in read} <= bindings


def test_a_running_container_has_its_real_bindings_in_order() -> None:
    assert containers(VARIANT)["web1"].ports == (
        binding("tcp", 8080, "0.0.0.0", 5001),
        binding("tcp", 8080, "::", 5001),
        binding("tcp", 8080, "0.0.0.0", 5030),
        binding("tcp", 8080, "::", 5030),
        binding("tcp", 8083, "0.0.0.0", 5012),
        binding("tcp", 8083, "::", 5012),
    )


def test_a_stopped_container_has_no_bindings_though_it_asks_for_some() -> None:
    gone = containers(VARIANT)["gone"]
    assert not gone.is_running
    assert gone.ports == ()


def test_a_binding_without_a_host_port_is_none() -> None:
    # Gateway mode "routed".
    assert containers(VARIANT)["rt1"].ports == ()


def test_a_range_and_udp_and_single_addresses_are_read() -> None:
    assert {port.host_port for port in containers(VARIANT)["range"].ports} == {5020, 5021, 5022}
    assert binding("udp", 5015, "127.0.0.1", 5015) in containers(VARIANT)["udp"].ports
    assert binding("tcp", 8080, "::1", 5005) in containers(VARIANT)["six2"].ports


def test_an_empty_host_ip_means_every_ipv4_address() -> None:
    assert parse_ports({"80/tcp": [{"HostIp": "", "HostPort": "8000"}], "81/tcp": None}) == (
        binding("tcp", 80, "0.0.0.0", 8000),
    )


def test_endpoints_have_addresses_with_prefix_and_gateway() -> None:
    (endpoint,) = containers(VARIANT)["six"].endpoints
    assert isinstance(endpoint.ipv4, IPv4Interface)
    assert isinstance(endpoint.ipv6, IPv6Interface)
    assert str(endpoint.ipv6.network) == "fd00:1::/64"
    assert endpoint.gateway4 == IPv4Address("172.30.1.1")


def test_a_container_on_two_networks_has_two_endpoints() -> None:
    assert [end.network_name for end in containers(VARIANT)["multi"].endpoints] == ["plain", "v6net"]


def test_network_modes_are_kept_as_docker_says_them() -> None:
    by_name = containers(VARIANT)
    assert by_name["hostnet"].network_mode == "host"
    assert by_name["side"].network_mode == f"container:{by_name['web1'].id}"
    assert by_name["side"].endpoints == ()
    assert parse_container({"Id": "1", "Name": "/x", "HostConfig": {"NetworkMode": "default"}}).network_mode == "bridge"


def test_hostile_labels_are_data() -> None:
    labels = {"\x1b[2J": "$(reboot)", "a\nb": "\u202e"}
    assert parse_container({"Id": "1", "Name": "/x", "Config": {"Labels": labels}}).labels == labels


def test_of_the_environment_only_endpoints_keep_their_values() -> None:
    environment = ["BACKEND=172.17.0.1:5001", "PORT=8080", "DB_PASSWORD=10.0.0.1:5432", "MODE=fast", "EMPTY", "A="]
    environment += ["URL=http://api:8080/x", "DSN=postgres://u:p@db:5432/x", "PEER=[fd00::1]:80", "JWT=eyJhbGciOiJI:80"]
    assert keep_endpoints(environment) == {
        "BACKEND": "172.17.0.1:5001",
        "PORT": "8080",
        "DB_PASSWORD": "",
        "MODE": "",
        "EMPTY": "",
        "A": "",
        "URL": "http://api:8080/x",
        "DSN": "",
        "PEER": "[fd00::1]:80",
        "JWT": "",
    }


@pytest.mark.parametrize("engine", ENGINES)
def test_every_recorded_network_is_read(engine: str) -> None:
    networks = {network["Name"]: parse_network(network) for network in document(engine, "networks.json")}
    assert networks["bridge"].bridge == "docker0"
    assert networks["host"].bridge is None
    for network in networks.values():
        assert network.driver != "bridge" or network.subnets


def test_a_networks_bridge_is_named_by_its_option_or_its_id() -> None:
    networks = {network["Name"]: parse_network(network) for network in document(VARIANT, "networks.json")}
    assert networks["nomasq"].bridge == "br-nomasq"
    assert networks["plain"].bridge == f"br-{networks['plain'].id[:12]}"
    assert networks["inner"].internal


def test_gateways_that_the_engine_does_not_tell_are_the_bridges_addresses() -> None:
    networks = {network["Name"]: parse_network(network) for network in document(VARIANT, "networks.json")}
    bridge = networks["v6net"].bridge or ""
    addresses = [
        InterfaceAddress(interface=interface, address=ip_interface(address))
        for interface, address in (
            (bridge, "172.30.1.1/24"),
            (bridge, "fe80::1/64"),
            (bridge, "fd00:1::1/64"),
            ("docker0", "172.17.0.9/16"),
        )
    ]
    assert with_bridge_addresses(networks["v6net"], addresses).gateways == (
        ip_address("172.30.1.1"),
        ip_address("fd00:1::1"),
    )
    # What the engine tells is not overruled.
    assert with_bridge_addresses(networks["bridge"], addresses).gateways == (ip_address("172.17.0.1"),)


def test_other_engines_proxies_and_impostors_are_not_ours() -> None:
    assert read_proxies(proxies(VARIANT), engine_pid=8) == ()


@pytest.mark.parametrize(
    "line",
    ["docker-proxy", "docker-proxy -proto tcp", "/usr/sbin/dockerd -H fd://", "docker-proxy -proto xxx -host-ip"],
)
def test_a_command_line_that_is_none_of_a_proxys_is_left_out(line: str) -> None:
    assert parse_proxy(Process(1, 2, "docker-proxy", tuple(line.split()))) is None


def test_a_process_name_may_hold_anything() -> None:
    stat = "42 (a) S 1 (b) S 17 42 42 0 -1 4194560 1 0 0 0 1 2 3 4 20 0 1 0 987654 100 200"
    assert parse_parent(stat) == 17
    assert parse_start_ticks(stat) == 987654


def test_arguments_are_split_at_nuls_and_decoded_leniently() -> None:
    assert split_arguments(b"a\0\0b c\0\xff\0") == ("a", "", "b c", "\ufffd")
    assert split_arguments(b"") == ()
