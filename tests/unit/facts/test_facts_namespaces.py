"""Addresses, bridge ports, sockets: what is read inside a network namespace."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from ipaddress import ip_address, ip_interface, ip_network

import pytest
from recorded_facts import containers, document, text

from remedy.facts.addresses import (
    Addressing,
    parse_addresses,
    parse_batch,
    parse_link,
    parse_routes,
    parse_rule,
    read_addressing,
)
from remedy.facts.bridges import parse_bridge_ports, with_containers
from remedy.facts.connections import listening_sockets, merge_connections
from remedy.facts.interest import Interest
from remedy.facts.model import Container, Endpoint, NetNamespace, Protocol
from remedy.facts.namespaces import NOTHING, Contents, Place, describe
from remedy.facts.netlink import dump, messages
from remedy.facts.sockets import RawSocket, find_owners, parse_sockets, read_sockets
from remedy.facts.unread import Notes
from remedy.host.commands import run_command
from remedy.host.namespaces import network_namespace_inode, run_in_network_namespace

RECORDED = "recorded-28.5"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="entering a network namespace needs root")


def addressing(name: str) -> Addressing:
    links, routes, rules = parse_batch(text(RECORDED, f"ip-batch-{name}.txt"))
    return Addressing(
        tuple(map(parse_link, links)),
        tuple(parse_addresses(links)),
        tuple(parse_routes(routes)),
        tuple(parse_rule(rule, 4) for rule in rules),
        tuple(links),
    )


def namespace(name: str, *containers: str) -> NetNamespace:
    read = addressing(name)
    return NetNamespace(
        inode=hash(name),
        is_host=name == "host",
        containers=containers,
        pid=1,
        links=read.links,
        addresses=read.addresses,
        routes=read.routes,
        rules=read.rules,
        listening=(),
        connections=(),
    )


def container(name: str, *networks: str, network_mode: str = "bridge") -> Container:
    return Container(
        id=name,
        name=name,
        image="x",
        state="running",
        pid=1,
        started_at="",
        restart_policy="no",
        network_mode=network_mode,
        labels={},
        endpoints=tuple(Endpoint(network_id=network, network_name=network) for network in networks),
        ports=(),
    )


def sockets(name: str, ports: tuple[int, ...]) -> list[RawSocket]:
    return [
        socket
        for protocol, _, datagrams in document(RECORDED, f"sock-diag-{name}.json")
        for datagram in datagrams
        for socket in parse_sockets(
            messages(bytes.fromhex(datagram)), Protocol.TCP if protocol == 6 else Protocol.UDP, ports
        )
    ]


def test_links_know_their_bridge_and_their_other_end() -> None:
    links = {link.name: link for link in addressing("host").links}
    assert links["docker0"].kind == "bridge"
    assert links["lo"].mac is None
    ports = [link for link in links.values() if link.master == "docker0"]
    assert ports
    assert all(link.kind == "veth" and link.peer_index and link.peer_namespace is not None for link in ports)


def test_addresses_keep_prefix_and_scope() -> None:
    found = {(one.interface, str(one.address), one.scope) for one in addressing("host").addresses}
    assert ("docker0", "172.17.0.1/16", "global") in found
    assert ("lo", "::1/128", "host") in found


def test_routes_of_both_families_and_all_tables_are_read() -> None:
    routes = addressing("host").routes
    defaults = [route for route in routes if route.destination is None and route.table == "main"]
    assert {route.family for route in defaults} == {4, 6}
    assert all(route.gateway and route.interface == "eth0" for route in defaults)
    local = [route for route in routes if route.table == "local" and route.destination == ip_network("172.17.0.1/32")]
    assert [route.kind for route in local] == ["local"]
    assert not any(route.kind == "multicast" for route in routes)


def test_a_route_with_several_next_hops_gives_one_for_each() -> None:
    hops = [{"gateway": "10.0.0.1", "dev": "eth0", "weight": 1}, {"gateway": "10.0.0.2", "dev": "eth1", "weight": 1}]
    routes = list(parse_routes([{"type": "unicast", "dst": "10.9.0.0/16", "nexthops": hops, "flags": []}]))
    assert [(str(route.gateway), route.interface) for route in routes] == [("10.0.0.1", "eth0"), ("10.0.0.2", "eth1")]


def test_an_ipv4_route_over_an_ipv6_neighbour_stays_ipv4() -> None:
    route = {"dst": "default", "via": {"family": "inet6", "host": "fe80::1"}, "dev": "eth0", "flags": []}
    (parsed,) = parse_routes([route])
    assert parsed.family == 4
    assert parsed.gateway == ip_address("fe80::1")


def test_a_blackhole_needs_no_interface() -> None:
    (parsed,) = parse_routes([{"type": "blackhole", "dst": "10.1.0.0/16", "flags": []}])
    assert parsed.kind == "blackhole"
    assert parsed.interface is None


def test_rules_keep_what_the_model_does_not_name() -> None:
    rule = {"priority": 100, "not": None, "src": "10.0.0.0", "srclen": 8, "fwmark": "0x1", "table": "vpn"}
    parsed = parse_rule(rule, 4)
    assert (parsed.source, parsed.table) == ("10.0.0.0/8", "vpn")
    assert parsed.extra == {"not": "", "fwmark": "0x1"}


def test_bridge_ports_are_found_with_their_containers() -> None:
    host = namespace("host")
    spaces = [host, namespace("web", "side", "web"), namespace("two", "two")]
    containers = [container("side", network_mode="container:web"), container("two", "front", "inner")]
    containers.append(container("web", "bridge"))
    ports = with_containers(parse_bridge_ports(addressing("host").raw_links), spaces, containers)
    owned = {(port.bridge, port.container_id) for port in ports if port.container_id}
    # `side` shares web's namespace and has no endpoint of its own.
    assert {owner for _, owner in owned} == {"web", "two"}
    assert len([port for port in ports if port.container_id == "two"]) == 2
    assert all(port.hairpin_mode is False and port.isolated is False and port.state == 3 for port in ports)


def test_hairpin_mode_is_read_as_ip_tells_it() -> None:
    link = {
        "ifname": "veth1",
        "master": "br0",
        "linkinfo": {"info_slave_kind": "bridge", "info_slave_data": {"state": "learning", "hairpin": True}},
    }
    (port,) = parse_bridge_ports([link])
    assert port.hairpin_mode
    assert port.isolated is None
    assert port.state == 2


def test_listening_sockets_say_whether_they_take_ipv4_too() -> None:
    found = {
        (one.protocol, str(one.address), one.port): one.v6only
        for one in listening_sockets(sockets("host", ()), owners={})
    }
    assert found[Protocol.TCP, "0.0.0.0", 5001] is None
    assert found[Protocol.TCP, "::", 5001] is True  # docker-proxy
    assert found[Protocol.TCP, "::", 7001] is False  # a socket for both families
    assert (Protocol.UDP, "0.0.0.0", 5005) in found


def test_only_connections_with_an_interesting_port_are_kept() -> None:
    assert not [socket for socket in sockets("host", ()) if not socket.is_waiting]
    kept = [socket for socket in sockets("host", (5001,)) if not socket.is_waiting]
    assert kept
    assert all(5001 in {socket.local_port, socket.remote_port} for socket in kept)


def test_connections_that_differ_only_in_the_clients_port_are_counted() -> None:
    host = frozenset({ip_address("172.17.0.1"), ip_address("127.0.0.1"), ip_address("::1")})
    interest = Interest(frozenset({5001, 5003}), host, frozenset({(ip_address("172.17.0.3"), 8080)}))
    raw = sockets("host", tuple(interest.ports))
    owners = {socket.inode: (9, "docker-proxy") for socket in raw}
    merged, complete = merge_connections(raw, interest, owners)
    assert complete
    shown = {
        (str(one.local_address), str(one.remote_address), one.remote_port): one.count
        for one in merged
        if one.remote_port == 5001 and one.state == "ESTABLISHED"
    }
    # Two clients asked for the gateway's port, one for loopback's.
    assert shown == {("172.17.0.1", "172.17.0.1", 5001): 2, ("127.0.0.1", "127.0.0.1", 5001): 1}
    assert all(one.program == "docker-proxy" for one in merged if one.state != "TIME-WAIT")
    assert any(one.remote_port == 8080 and one.remote_address == ip_address("172.17.0.3") for one in merged)


def test_the_same_port_of_a_stranger_is_nobodys_business() -> None:
    https = RawSocket(Protocol.TCP, "ESTABLISHED", ip_address("10.0.0.5"), 40000, ip_address("93.184.216.34"), 443, 5)
    interest = Interest(frozenset({443}), frozenset({ip_address("10.0.0.5")}))
    assert merge_connections([https], interest, {}) == ((), True)


def test_more_connections_than_the_limit_are_said_to_be_incomplete() -> None:
    def one(number: int) -> RawSocket:
        client = ip_address(f"10.0.0.{number}")
        return RawSocket(Protocol.TCP, "ESTABLISHED", ip_address("10.9.9.9"), 80, client, 4000, number)

    interest = Interest(frozenset({80}), frozenset({ip_address("10.9.9.9")}))
    merged, complete = merge_connections(map(one, range(5)), interest, {}, limit=3)
    assert len(merged) == 3
    assert not complete


def test_an_ipv4_peer_of_an_ipv6_socket_is_shown_as_ipv4() -> None:
    import struct

    mapped = b"\0" * 10 + b"\xff\xff" + bytes([10, 0, 0, 1])
    payload = bytes([10, 1, 0, 0]) + struct.pack("!HH", 80, 4000) + mapped + mapped + b"\0" * 28 + struct.pack("=I", 7)
    (socket,) = parse_sockets([payload], Protocol.TCP, {80})
    assert socket.local_address == ip_address("10.0.0.1")
    assert socket.inode == 7
    assert socket.v6only is None


def test_the_kernel_answers_and_owners_are_found() -> None:
    import socket

    with socket.socket(socket.AF_INET6) as listener:
        listener.bind(("::1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        (found,) = [one for one in read_sockets(()) if one.is_waiting and one.local_port == port]
        # Bound to one IPv6 address, no socket takes IPv4.
        assert found.v6only is True
        assert find_owners({found.inode})[found.inode][0] == os.getpid()


def test_a_refused_request_is_an_error() -> None:
    with pytest.raises(OSError, match=r"."):
        list(dump(4, 20, b"\xff" * 56))


def test_the_namespace_of_this_process_is_read_without_entering_anything() -> None:
    read = run_in_network_namespace(os.getpid(), read_addressing)
    assert any(link.name == "lo" for link in read.links)


@pytest.fixture
def other_namespace() -> Iterator[int]:
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up; echo; exec sleep 60"], stdout=-1
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        yield other.pid
        other.kill()


@needs_root
def test_another_namespace_is_entered_and_left(other_namespace: int) -> None:
    def look() -> tuple[int, int, str]:
        inside = os.stat("/proc/thread-self/ns/net").st_ino
        return inside, threading.get_native_id(), run_command(["ip", "-brief", "link"]).stdout

    before = network_namespace_inode()
    inside, thread, links = run_in_network_namespace(other_namespace, look)
    assert inside == network_namespace_inode(other_namespace) != before
    assert thread != threading.get_native_id()
    # What is started inside is inside.
    assert re.findall(r"^\w+", links, re.MULTILINE) == ["lo"]
    assert os.stat("/proc/thread-self/ns/net").st_ino == before


@needs_root
def test_what_is_raised_inside_is_raised_outside(other_namespace: int) -> None:
    def fail() -> None:
        raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        run_in_network_namespace(other_namespace, fail)


@needs_root
def test_another_namespace_is_read_whole(other_namespace: int) -> None:
    read = run_in_network_namespace(other_namespace, read_addressing)
    assert [link.name for link in read.links] == ["lo"]
    assert read.addresses[0].address == ip_interface("127.0.0.1/8")
    assert run_in_network_namespace(other_namespace, lambda: read_sockets(())) == []


def test_a_socket_of_the_hosts_network_knows_its_container_by_the_files_that_it_sees() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        inode = os.fstat(server.fileno()).st_ino
        raw = next(found for found in read_sockets(()) if found.inode == inode)
        known = containers("28.5.2-iptables-proxy-on-variant")["hostnet"]
        owner = known.model_copy(update={"pid": os.getpid()})
        place = Place(1, os.getpid(), (owner,), is_host=True)
        owners = {inode: (os.getpid(), "server")}
        (space,) = describe([Contents(place, NOTHING, (raw,))], Interest(frozenset()), (), Notes())
    assert space.listening[0].container_id == owner.id
    assert owners[inode][0] == space.listening[0].pid


def test_a_process_that_is_gone_is_an_os_error() -> None:
    with pytest.raises(OSError, match=r"."):
        run_in_network_namespace(2**22 + 1, read_addressing)
