"""Small hosts, put together from the large one's pieces."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

from remedy.bench.large_host import large_host
from remedy.facts.model import HostFacts, InterfaceAddress, IptablesTables, Link, NetNamespace, Route
from remedy.paths.verdict import Verdict
from remedy.paths.walk import Datapath
from remedy.spec.models import HostPort

LAN, GATEWAY = "203.0.113.10", "203.0.113.254"


def host(containers: int = 2, *, rules: str | None = None, sysctls: dict[str, str] | None = None) -> HostFacts:
    """The containers c0, c1 ... on br-net0 (172.20.0.1): port 20000 + n is published, by docker-proxy too."""
    facts = large_host(containers, 0)
    if rules is not None:
        tables = IptablesTables(family=4, variant="nft", command="", text=rules)
        facts = with_tables(facts, tables)
    return facts.model_copy(update={"sysctls": {**facts.sysctls, **(sysctls or {})}})


def with_tables(facts: HostFacts, *tables: IptablesTables) -> HostFacts:
    return facts.model_copy(update={"firewall": facts.firewall.model_copy(update={"tables": tables})})


def with_host_space(facts: HostFacts, **changes: object) -> HostFacts:
    own, *others = facts.namespaces
    return facts.model_copy(update={"namespaces": (own.model_copy(update=changes), *others)})


def with_routes(facts: HostFacts, *routes: Route) -> HostFacts:
    return with_host_space(facts, routes=(*routes, *facts.namespaces[0].routes))


def route(destination: str | None, kind: str = "unicast", interface: str | None = None, **more: object) -> Route:
    return Route.model_validate(
        {
            "family": 6 if destination and ":" in destination else 4,
            "table": "main",
            "destination": destination,
            "kind": kind,
            "interface": interface,
            "gateway": None,
            "prefsrc": None,
            "metric": None,
            **more,
        }
    )


def space(*addresses: tuple[str, str], routes: tuple[Route, ...] = (), rules: tuple[object, ...] = ()) -> NetNamespace:
    """A namespace with these (interface, address/length)."""
    return NetNamespace.model_validate(
        {
            "inode": 1,
            "is_host": True,
            "containers": (),
            "pid": 1,
            "links": (),
            "addresses": [{"interface": name, "address": address} for name, address in addresses],
            "routes": routes,
            "rules": rules,
            "listening": (),
            "connections": (),
        }
    )


def with_one_on_the_wire(facts: HostFacts, container: str, address: str) -> HostFacts:
    """A container moved from its bridge onto eth0 itself, with macvlan."""
    eth0 = next(link.index for link in facts.namespaces[0].links if link.name == "eth0")
    owner = next(each.id for each in facts.containers if each.name == container)
    spaces = tuple(
        space.model_copy(
            update={
                "links": (Link(index=7, name="eth0", kind="macvlan", peer_index=eth0),),
                "addresses": (InterfaceAddress(interface="eth0", address=ip_interface(address)),),
                "routes": (
                    route(None, interface="eth0", gateway=GATEWAY),
                    route(str(ip_interface(address).network), interface="eth0"),
                ),
            }
        )
        if owner in space.containers
        else space
        for space in facts.namespaces
    )
    return facts.model_copy(update={"namespaces": spaces})


def ask(facts: HostFacts, source: str, to: str, client: str | None = None, interface: str | None = None) -> Verdict:
    address = None if client is None else ip_address(client)
    return Datapath(facts).connect(source, HostPort.parse(to), client_address=address, interface=interface)
