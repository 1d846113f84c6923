"""Facts of a host that nobody has in a lab: a thousand published containers, ten thousand rules."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from remedy import __version__
from remedy.facts.model import (
    BridgePort,
    ConntrackFacts,
    Container,
    DaemonJson,
    DockerProxy,
    Endpoint,
    EngineFacts,
    FirewallBackend,
    FirewallFacts,
    HostFacts,
    HostIdentity,
    InterfaceAddress,
    IptablesTables,
    Link,
    ListeningSocket,
    NetNamespace,
    Network,
    PortBinding,
    Protocol,
    Route,
    SystemdFacts,
)

HOST_ADDRESS = IPv4Address("203.0.113.10")
GATEWAY = IPv4Address("203.0.113.254")
FIRST_PORT = 20_000
PER_NETWORK = 100
SERVER_PORT = 8080
_ANY = IPv4Address("0.0.0.0")  # noqa: S104  # what docker-proxy listens on


def large_host(containers: int = 1_000, rules: int = 10_000) -> HostFacts:
    """A host of engine 28.5 with iptables-nft and docker-proxy on, 100 containers a network."""
    places = [_Place(number) for number in range(containers)]
    bridges = sorted({place.network for place in places})
    text = _rules(places, bridges, rules)
    return HostFacts(
        remedy_version=__version__,
        gathered_at=datetime.fromtimestamp(0, UTC),
        gather_seconds=0.0,
        host=HostIdentity(hostname="large", machine_id="", boot_id="", kernel="6.12"),
        engine=_engine(),
        daemon_json=DaemonJson(path="/etc/docker/daemon.json", exists=False),
        systemd=SystemdFacts(available=False),
        containers=tuple(place.container() for place in places),
        networks=tuple(_network(number) for number in bridges),
        docker_proxies=tuple(place.proxy() for place in places),
        namespaces=(_host_space(places, bridges), *(place.namespace() for place in places)),
        bridge_ports=tuple(place.bridge_port() for place in places),
        firewall=_firewall(text),
        sysctls={"net.ipv4.ip_forward": "1", "net.bridge.bridge-nf-call-iptables": "1"},
        conntrack=ConntrackFacts(count=0, maximum=None, buckets=None, entries=(), entries_complete=True),
        haproxies=(),
    )


def count_rules(facts: HostFacts) -> int:
    """How many rules stand in the facts."""
    return sum(table.text.count("\n-A ") for table in facts.firewall.tables)


class _Place:
    """One container and everything that it has on the host."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.network = number // PER_NETWORK
        self.address = _subnet(self.network)[2 + number % PER_NETWORK]
        self.port = FIRST_PORT + number
        self.name, self.id = f"c{number}", f"{number:064x}"
        self.veth, self.index = f"veth{number:07d}", 1_000 + number

    def container(self) -> Container:
        interface = IPv4Interface(f"{self.address}/24")
        return Container(
            id=self.id,
            name=self.name,
            image="server",
            state="running",
            pid=100_000 + self.number,
            started_at="",
            restart_policy="no",
            network_mode=f"net{self.network}",
            labels={},
            endpoints=(
                Endpoint(
                    network_id=f"net{self.network}",
                    network_name=f"net{self.network}",
                    ipv4=interface,
                    gateway4=_subnet(self.network)[1],
                ),
            ),
            ports=(
                PortBinding(protocol=Protocol.TCP, container_port=SERVER_PORT, host_address=_ANY, host_port=self.port),
            ),
        )

    def namespace(self) -> NetNamespace:
        address = IPv4Interface(f"{self.address}/24")
        return NetNamespace(
            inode=10 + self.number,
            is_host=False,
            containers=(self.id,),
            pid=None,
            links=(Link(index=2, name="eth0", kind="veth", peer_index=self.index),),
            addresses=(InterfaceAddress(interface="eth0", address=address),),
            routes=(
                _route(None, "eth0", _subnet(self.network)[1]),
                _route(_subnet(self.network), "eth0", None, self.address),
            ),
            rules=(),
            listening=(_listening(SERVER_PORT, 5),),
            connections=(),
        )

    def bridge_port(self) -> BridgePort:
        return BridgePort(
            bridge=_bridge(self.network), interface=self.veth, hairpin_mode=False, state=3, container_id=self.id
        )

    def proxy(self) -> DockerProxy:
        return DockerProxy(
            pid=200_000 + self.number,
            protocol=Protocol.TCP,
            host_address=_ANY,
            host_port=self.port,
            container_address=self.address,
            container_port=SERVER_PORT,
        )


def _subnet(number: int) -> IPv4Network:
    return IPv4Network(f"172.{20 + number // 200}.{number % 200}.0/24")


def _bridge(number: int) -> str:
    return f"br-net{number}"


def _listening(port: int, inode: int, pid: int | None = None, program: str | None = None) -> ListeningSocket:
    return ListeningSocket(protocol=Protocol.TCP, address=_ANY, port=port, inode=inode, pid=pid, program=program)


def _route(
    to: IPv4Network | None, interface: str, gateway: IPv4Address | None, source: IPv4Address | None = None
) -> Route:
    return Route(
        family=4,
        table="main",
        destination=to,
        kind="unicast",
        interface=interface,
        gateway=gateway,
        prefsrc=source,
        metric=None,
    )


def _host_space(places: list[_Place], bridges: list[int]) -> NetNamespace:
    own = [("eth0", IPv4Interface(f"{HOST_ADDRESS}/24")), ("lo", IPv4Interface("127.0.0.1/8"))]
    own += [(_bridge(number), IPv4Interface(f"{_subnet(number)[1]}/24")) for number in bridges]
    links = [Link(index=1, name="lo"), Link(index=2, name="eth0")]
    links += [Link(index=10 + number, name=_bridge(number), kind="bridge") for number in bridges]
    links += [Link(index=place.index, name=place.veth, kind="veth", master=_bridge(place.network)) for place in places]
    return NetNamespace(
        inode=1,
        is_host=True,
        containers=(),
        pid=1,
        links=tuple(links),
        addresses=tuple(InterfaceAddress(interface=name, address=address) for name, address in own),
        routes=(
            _route(None, "eth0", GATEWAY),
            *(_route(address.network, name, None, address.ip) for name, address in own if name != "lo"),
        ),
        rules=(),
        listening=tuple(
            _listening(place.port, 1_000 + place.number, 200_000 + place.number, "docker-proxy") for place in places
        ),
        connections=(),
    )


def _network(number: int) -> Network:
    return Network(
        id=f"net{number}",
        name=f"net{number}",
        driver="bridge",
        scope="local",
        internal=False,
        enable_ipv6=False,
        subnets=(_subnet(number),),
        gateways=(_subnet(number)[1],),
        bridge=_bridge(number),
        options={},
    )


def _engine() -> EngineFacts:
    return EngineFacts(
        version="28.5.2",
        version_tuple=(28, 5),
        pid=None,
        command_line=(),
        environment={},
        started_at=None,
        live_restore=False,
        userland_proxy=True,
        userland_proxy_evidence="made up",
        swarm=False,
        rootless=False,
        iptables=True,
        ip6tables=False,
        experimental=False,
        socket="unix:///var/run/docker.sock",
        security_options=(),
    )


def _firewall(text: str) -> FirewallFacts:
    tables = IptablesTables(family=4, variant="nft", command="iptables-nft-save", text=text)
    return FirewallFacts(
        backend=FirewallBackend.IPTABLES_NFT,
        backend_evidence="made up",
        iptables_version=None,
        nft_version=None,
        tables=(tables,),
        nft_tables=("ip nat", "ip filter"),
    )


def _rules(places: list[_Place], bridges: list[int], rules: int) -> str:
    """As the engine writes them, with the operator's own in DOCKER-USER until there are `rules`."""
    nat = [*_nat(places, bridges)]
    engines = [*_filter(places, bridges)]
    own = [*_operators(rules - len(nat) - len(engines))]
    head = "*nat\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n"
    middle = "COMMIT\n*filter\n:FORWARD DROP [0:0]\n:DOCKER - [0:0]\n:DOCKER-BRIDGE - [0:0]\n:DOCKER-CT - [0:0]\n"
    middle += ":DOCKER-FORWARD - [0:0]\n:DOCKER-USER - [0:0]\n"
    return head + "\n".join(nat) + "\n" + middle + "\n".join([*own, *engines]) + "\nCOMMIT\n"


def _nat(places: list[_Place], bridges: list[int]) -> Iterator[str]:
    yield "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER"
    yield "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER"
    for number in bridges:
        yield f"-A POSTROUTING -s {_subnet(number)} ! -o {_bridge(number)} -j MASQUERADE"
        yield f"-A DOCKER -i {_bridge(number)} -j RETURN"
    for place in places:
        to = f"--to-destination {place.address}:{SERVER_PORT}"
        yield f"-A DOCKER ! -i {_bridge(place.network)} -p tcp -m tcp --dport {place.port} -j DNAT {to}"


def _filter(places: list[_Place], bridges: list[int]) -> Iterator[str]:
    yield "-A FORWARD -j DOCKER-USER"
    yield "-A FORWARD -j DOCKER-FORWARD"
    yield "-A DOCKER-FORWARD -j DOCKER-CT"
    yield "-A DOCKER-FORWARD -j DOCKER-BRIDGE"
    for number in bridges:
        bridge = _bridge(number)
        yield f"-A DOCKER-CT -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
        yield f"-A DOCKER-BRIDGE -o {bridge} -j DOCKER"
        yield f"-A DOCKER-FORWARD -i {bridge} -j ACCEPT"
    for place in places:
        bridge = _bridge(place.network)
        ends = f"-d {place.address}/32 ! -i {bridge} -o {bridge}"
        yield f"-A DOCKER {ends} -p tcp -m tcp --dport {SERVER_PORT} -j ACCEPT"
    yield from (f"-A DOCKER ! -i {_bridge(number)} -o {_bridge(number)} -j DROP" for number in bridges)


def _operators(count: int) -> Iterator[str]:
    """Blocked addresses, mostly; and a few that no index helps with."""
    for number in range(count):
        address = IPv4Address(int(IPv4Address("198.18.0.0")) + number)
        if number % 100 == 0:
            yield f"-A DOCKER-USER -s {address}/28 -p tcp -m multiport --dports 1:1023,3306 -j DROP"
        elif number % 10 == 0:
            yield f"-A DOCKER-USER -i eth0 -s {address}/32 -m conntrack --ctstate NEW -j REJECT"
        else:
            yield f"-A DOCKER-USER -s {address}/32 -j DROP"
