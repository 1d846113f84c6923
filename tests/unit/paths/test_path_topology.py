"""Who is connected with whom, and who listens where."""

from __future__ import annotations

from ipaddress import ip_address

from path_samples import host, with_host_space

from remedy.facts.model import ListeningSocket, Protocol
from remedy.paths.topology import Space, Topology

ANY4, ANY6 = ip_address("0.0.0.0"), ip_address("::")


def listening(address: object, **more: object) -> ListeningSocket:
    return ListeningSocket(protocol=Protocol.TCP, address=address, port=80, inode=1, **more)


def space_with(*sockets: ListeningSocket) -> Space:
    return Topology(with_host_space(host(), listening=sockets)).host


def test_the_most_special_socket_gets_the_connection() -> None:
    own = ip_address("203.0.113.10")
    space = space_with(listening(ANY4), listening(own), listening(ANY6, v6only=False))
    assert space.listener(Protocol.TCP, own, 80) == listening(own)
    assert space.listener(Protocol.TCP, ip_address("127.0.0.1"), 80) == listening(ANY4)
    assert space.listener(Protocol.UDP, own, 80) is None
    assert space.listener(Protocol.TCP, own, 81) is None


def test_an_ipv6_socket_takes_ipv4_unless_it_must_not() -> None:
    both, six = listening(ANY6, v6only=False), listening(ANY6, v6only=True)
    assert space_with(both).listener(Protocol.TCP, ip_address("127.0.0.1"), 80) == both
    assert space_with(six).listener(Protocol.TCP, ip_address("127.0.0.1"), 80) is None
    assert space_with(listening(ANY4)).listener(Protocol.TCP, ip_address("::1"), 80) is None


def test_containers_are_found_behind_their_bridge_ports() -> None:
    topology = Topology(host())
    neighbour = topology.neighbour("br-net0", ip_address("172.20.0.3"))
    assert neighbour is not None
    assert neighbour.space is topology.space_of(topology.by_name["c1"])
    assert topology.attachment(neighbour.space, "eth0") == neighbour
    assert topology.neighbour("br-net0", ip_address("172.20.0.99")) is None


def test_address_types_are_those_of_the_hosts_routing_table() -> None:
    topology = Topology(host())
    types = {text: topology.address_type(ip_address(text)) for text in ("127.0.0.1", "203.0.113.10", "203.0.113.255")}
    assert types == {"127.0.0.1": "LOCAL", "203.0.113.10": "LOCAL", "203.0.113.255": "BROADCAST"}
    assert topology.address_type(ip_address("224.0.0.1")) == "MULTICAST"
    assert topology.address_type(ip_address("172.20.0.2")) == "UNICAST"


def test_a_network_without_a_way_is_told_by_its_subnet() -> None:
    topology = Topology(host())
    assert topology.network_without_way(ip_address("172.20.0.77")) == "net0"
    assert topology.network_without_way(ip_address("9.9.9.9")) is None
