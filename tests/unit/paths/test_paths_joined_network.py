"""A network that is not there yet, and containers that are to join one."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from remedy.captures.facts import load_capture
from remedy.captures.files import read_capture
from remedy.facts.model import Address, HostFacts
from remedy.paths.joined_network import with_members, with_network
from remedy.paths.published import host_addresses
from remedy.paths.verdict import Verdict
from remedy.paths.walk import Datapath
from remedy.spec.models import HostPort

DATA = Path(__file__).parents[1] / "plan" / "data"
CAPTURES = Path(__file__).parents[2] / "captures"
SUBNETS = (ip_network("172.30.255.0/24"), ip_network("fd00:99::/64"))
HOSTS = ["facts-operator-20.10", "facts-operator-28.5", "facts-odd-28.5"]
RECORDED = ["26.1.5-iptables-proxy-on", "29.7.2-iptables-proxy-off", "29.7.2-nftables-proxy-on"]


@pytest.fixture
def load() -> Callable[[str], HostFacts]:
    def facts(name: str) -> HostFacts:
        if name.startswith("facts-"):
            return HostFacts.model_validate_json(gzip.decompress((DATA / f"{name}.json.gz").read_bytes()))
        return load_capture(read_capture(CAPTURES / f"{name}.tar.xz"))

    return facts


def joined(facts: HostFacts) -> tuple[HostFacts, list[str]]:
    """With the network and the first three containers that can be on it."""
    members = [c for c in facts.containers if c.is_running and c.network_mode == "bridge"][:3]
    after = with_members(with_network(facts, "lb", SUBNETS), "lb", {c.id: (f"alias-{c.name}",) for c in members})
    return after, [c.name for c in members]


def address_on(facts: HostFacts, name: str, version: int = 4) -> Address:
    endpoint = next(e for c in facts.containers if c.name == name for e in c.endpoints if e.network_name == "lb")
    interface = endpoint.ipv4 if version == 4 else endpoint.ipv6
    assert interface is not None
    return interface.ip


def connect(facts: HostFacts, source: str, address: Address, port: int = 8080) -> Verdict:
    return Datapath(facts).connect(source, HostPort(address=address, port=port))


@pytest.mark.parametrize("host", [*HOSTS, *RECORDED])
def test_members_reach_each_other_directly_and_nobody_else_reaches_them(
    load: Callable[[str], HostFacts], host: str
) -> None:
    facts = load(host)
    after, members = joined(facts)
    first, second = members[0], next(name for name in members[1:] if _serves(facts, name))

    verdict = connect(after, first, address_on(after, second))
    assert (verdict.reachable, verdict.via, verdict.by) == (True, "direct", second), verdict
    assert verdict.source_seen == address_on(after, first)

    strangers = [c.name for c in after.containers if c.is_running and c.name not in members]
    for stranger in (name for name in strangers if _is_elsewhere(after, name)):
        assert connect(after, stranger, address_on(after, second)).reachable is False, stranger


def _serves(facts: HostFacts, name: str) -> bool:
    ids = {c.id for c in facts.containers if c.name == name}
    return any(
        s.port == 8080 and s.address.is_unspecified
        for n in facts.namespaces
        if ids & set(n.containers)
        for s in n.listening
    )


def _is_elsewhere(facts: HostFacts, name: str) -> bool:
    return any(
        c.name == name and c.network_mode not in ("host", "none") and ":" not in c.network_mode
        for c in facts.containers
    )


@pytest.mark.parametrize("host", [*HOSTS, *RECORDED])
def test_nobody_elses_way_changes(load: Callable[[str], HostFacts], host: str) -> None:
    facts = load(host)
    after, _ = joined(facts)
    ports = sorted({binding.host_port for c in facts.containers for binding in c.ports})[:6]
    clients = ["host", *(c.name for c in facts.containers if c.is_running)][:8]
    before_walk, after_walk = Datapath(facts), Datapath(after)
    keys = ("reachable", "via", "by", "source_seen", "failure")
    for address in (a for a in host_addresses(facts) if not a.is_link_local):
        for port in ports:
            for client in clients:
                to = HostPort(address=address, port=port)
                was, will = before_walk.connect(client, to), after_walk.connect(client, to)
                assert [getattr(was, key) for key in keys] == [getattr(will, key) for key in keys], (client, str(to))


def test_ipv6_goes_the_same_way_where_the_network_has_it(load: Callable[[str], HostFacts]) -> None:
    after, members = joined(load("facts-operator-28.5"))

    verdict = connect(after, members[0], address_on(after, members[1], 6))

    assert verdict.via == "direct"


def test_an_endpoint_on_a_network_that_leads_out_is_closed_to_others_from_28_2(
    load: Callable[[str], HostFacts],
) -> None:
    facts = with_network(load("facts-operator-28.5"), "out", (ip_network("172.30.255.0/24"),))
    out = tuple(n.model_copy(update={"internal": n.name != "out" and n.internal}) for n in facts.networks)
    one = facts.containers[0]

    after = with_members(facts.model_copy(update={"networks": out}), "out", {one.id: ()})

    rules = next(t.text for t in after.firewall.tables if t.family == 4)
    assert f"-A PREROUTING -d {ip_address('172.30.255.2')}/32 ! -i br-supposed" in rules
