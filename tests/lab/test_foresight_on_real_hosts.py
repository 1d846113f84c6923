"""What is predicted of a change is what it makes of a real host: every verdict, every rule, real connections."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from operating import Operator

from remedy.facts.model import HostFacts, Protocol
from remedy.firewall.normal_form import differences, normalised
from remedy.host.namespaces import run_in_network_namespace
from remedy.lab import Host
from remedy.paths.published import host_addresses
from remedy.paths.walk import Datapath
from remedy.plan.foresight import facts_after
from remedy.plan.planner import make_plan
from remedy.spec.models import HostPort, Spec
from remedy.verify.connect import connect

pytestmark = pytest.mark.lab

# One host for each engine, and both firewalls among them.
HOSTS = [("20.10", "nft"), ("26.1", "legacy"), ("28.5", "nft")]
TOPOLOGY = Path(__file__).parent / "topologies" / "foresight.yaml"
OFF: dict[str, object] = {"userland_proxy": False}
ON: dict[str, object] = {"userland_proxy": True}
HAIRPIN: dict[str, object] = {"hairpin": {"loopback": True}}
BACKENDS = [{"containers": ["api-1", "api-2"], "port": 8080}]
PORTS = (5001, 5002, 5003, 5004, 6001)


@pytest.fixture(params=HOSTS, ids="-".join)
def host(request, lab_host):
    engine, firewall = request.param
    host = lab_host(engine=engine, firewall=firewall, topology=TOPOLOGY)
    add_foreign_rules(host)
    return host


def test_off_on_and_hairpin_are_each_predicted(host):
    for remedies in (OFF, ON, HAIRPIN):
        before = facts_of(host)
        keys = {"version": 1, "remedies": remedies, "backends": BACKENDS, "accept_pinned": True}
        plan = make_plan(Spec.model_validate(keys), before, spec_digest="", now=datetime.now(UTC))
        assert plan.actions, plan.refusals
        predicted = facts_after(before, plan.actions)

        operator = Operator(host, spec=yaml_of(keys))
        done = operator.remedy("apply", "--yes")
        assert done.status == 0, done.stdout + done.stderr
        real = facts_of(host)

        found = rules_that_differ(predicted, real)
        found += verdicts_that_differ(host, predicted, real)
        found += connections_that_differ(host, predicted)
        assert found == [], "\n".join([str(remedies), *found])


def add_foreign_rules(host: Host) -> None:
    """On both sides of the engine's own, in every chain that it shares."""
    chains = ("nat PREROUTING", "nat OUTPUT", "nat POSTROUTING", "filter FORWARD")
    for table, chain in (place.split() for place in chains):
        foreign = ["-p", "99", "-m", "comment", "--comment", "somebody's", "-j", "ACCEPT"]
        host.run(["iptables", "-t", table, "-A", chain, *foreign])
        host.run(["iptables", "-t", table, "-I", chain, *foreign])


def facts_of(host: Host) -> HostFacts:
    return HostFacts.model_validate_json(host.run(["remedy", "facts"], timeout=60).stdout)


def yaml_of(keys: dict[str, object]) -> str:
    return Spec.model_validate(keys).model_dump_json(exclude_unset=True, by_alias=True)  # JSON is YAML


# --- predicted and real ------------------------------------------------------------------------------------------


def rules_that_differ(predicted: HostFacts, real: HostFacts) -> list[str]:
    found = []
    texts = {(table.family, table.variant): table.text for table in predicted.firewall.tables}
    for table in real.firewall.tables:
        found += differences(normalised(texts[table.family, table.variant]), normalised(table.text))
    if set(predicted.firewall.nft_json) != set(real.firewall.nft_json):
        found.append(f"nft tables {set(predicted.firewall.nft_json)} {set(real.firewall.nft_json)}")
    return found


def questions(host: Host, facts: HostFacts) -> Iterator[tuple[str, HostPort, str | None]]:
    """Every client, every published port, at every address of the host; and every container's own port."""
    own = {i.ip for c in facts.containers for e in c.endpoints for i in (e.ipv4, e.ipv6) if i is not None}
    # Link-local addresses need an interface beside them.
    targets = [(a, port) for a in host_addresses(facts) if not a.is_link_local for port in PORTS]
    targets += [(address, 8080) for address in own]
    for address, port in targets:
        to = HostPort(address=address, port=port, protocol=Protocol.TCP)
        for source in ("host", *(container.name for container in facts.containers)):
            yield source, to, None
        yield "external", to, host.external.address if address.version == 4 else host.external.address6


def verdicts_that_differ(host: Host, predicted: HostFacts, real: HostFacts) -> list[str]:
    walks, found, count = (Datapath(predicted), Datapath(real)), [], 0
    for source, to, client in questions(host, real):
        address = None if client is None else ip_address(client)
        first, second = (walk.connect(source, to, client_address=address) for walk in walks)
        count += 1
        keys = ("reachable", "via", "by", "source_seen", "failure", "userspace_copies")
        if first.reachable is None or any(getattr(first, key) != getattr(second, key) for key in keys):
            found.append(f"{source} -> {to}: {first} and really {second}")
    assert count > 200
    return found


def connections_that_differ(host: Host, predicted: HostFacts) -> list[str]:
    """A sample is really tried: the host, a backend, a container on another network and the external machine."""
    pids = {"host": host.init_pid, "external": host.external.pid}
    pids |= {name: host.container_pid(name) for name in ("api-1", "other")}
    walk = Datapath(predicted)

    def differs(source: str, to: HostPort, client: str | None) -> str | None:
        verdict = walk.connect(source, to, client_address=None if client is None else ip_address(client))
        answer = run_in_network_namespace(pids[source], lambda: connect(to))
        return None if answer.worked is verdict.reachable else f"{source} -> {to}: {answer} but {verdict}"

    # It may still know an earlier owner of the address, and ask again only after seconds.
    host.external.run(["ip", "neigh", "flush", "all"], check=False)
    # The external machine's own 127.0.0.1 is another, and it knows no way to the engine's networks.
    outside = {host.address, host.address6}
    asked = [
        question
        for question in questions(host, predicted)
        if question[0] in pids and (question[0] != "external" or str(question[1].address) in outside)
    ]
    with ThreadPoolExecutor(max_workers=64) as pool:
        return [found for found in pool.map(lambda question: differs(*question), asked) if found is not None]
