"""A network made, joined and left live: nobody loses a request, it is as foreseen, and nothing of it stays."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from conftest import LabHost
from losses import broken_by_the_network, lost_by_the_network
from operating import DIRECTORY, Operator
from state import differences, host_state

from remedy.actions.default_routes import default_routes
from remedy.bench.load_model import LoadOrder, VantageResult
from remedy.bench.loading import Loading
from remedy.bench.vantages import loss_vantages
from remedy.facts.model import Address, HostFacts
from remedy.firewall.normal_form import differences as rule_differences
from remedy.firewall.normal_form import normalised
from remedy.host.namespaces import run_in_network_namespace
from remedy.lab import Host
from remedy.paths.published import host_addresses
from remedy.paths.walk import Datapath
from remedy.plan.actions import Action, ConnectNetwork
from remedy.plan.foresight import facts_after
from remedy.plan.model import Plan
from remedy.plan.plan_file import save_plan
from remedy.plan.planner import make_plan
from remedy.plan.user_network import NetworkPlan, plan_network
from remedy.spec.models import HostPort, Spec, UserNetworkOptions

pytestmark = pytest.mark.lab

HOSTS = [("20.10", "legacy"), ("28.5", "nft")]
BALANCER, BACKENDS, STRANGER = "dev1-haproxy-1", ("dev1-api-1", "dev1-api-2"), "dev1-api-3"
MEMBERS = (BALANCER, *BACKENDS)
PLAN = f"{DIRECTORY}/network.json"
NAME = "remedy-lb"


@pytest.fixture(scope="module", params=HOSTS, ids="-".join)
def operator(request: pytest.FixtureRequest, module_lab_host: LabHost) -> Operator:
    engine, firewall = request.param
    return Operator(module_lab_host(engine, firewall), "version: 1\n")


def facts_of(host: Host) -> HostFacts:
    return HostFacts.model_validate_json(host.run(["remedy", "facts"], timeout=60).stdout)


def planned(facts: HostFacts, name: str = NAME) -> NetworkPlan:
    containers = {container.name: container for container in facts.containers}
    backends = [containers[backend] for backend in BACKENDS]
    return plan_network(facts, containers[BALANCER], backends, UserNetworkOptions(name=name))


def write_plan(operator: Operator, facts: HostFacts, actions: tuple[Action, ...], directory: Path) -> Plan:
    """The network's actions alone, as a plan file on the host: haproxy is not led anywhere."""
    empty = make_plan(Spec.model_validate({"version": 1}), facts, spec_digest="", now=datetime.now(UTC))
    plan = empty.model_copy(update={"actions": actions, "changes": True})
    save_plan(plan, directory / "network.json")
    operator.host.write_file(PLAN, (directory / "network.json").read_bytes())
    return plan


def test_nobody_loses_a_request_and_all_is_as_foreseen_and_as_before(operator: Operator, tmp_path: Path) -> None:
    host = operator.host
    operator.wait_for_traffic(host_state(host))
    before, facts = {**host_state(host), "name files": name_files(host)}, facts_of(host)
    network = planned(facts)
    assert network.refusals == ()
    write_plan(operator, facts, network.actions, tmp_path)
    routes = {name: default_routes(host.container_pid(name)) for name in MEMBERS}

    lost = under_load(host, lambda: operator.remedy("apply", PLAN, "--yes", check=True))

    assert lost == []
    assert {name: default_routes(host.container_pid(name)) for name in MEMBERS} == routes
    real, predicted = facts_of(host), facts_after(facts, network.actions)
    assert names_that_do_not_answer(host, real, network) == []
    assert differing_verdicts(predicted, real) == []
    assert differing_rules(predicted, real) == []
    assert planned(real).actions == ()
    assert operator.json("status")["drift"] == []

    lost = under_load(host, lambda: operator.remedy("rollback", "--yes", check=True))

    assert lost == []
    assert differences(before, {**host_state(host), "name files": name_files(host)}) == []


@pytest.mark.parametrize("record", ["create_network", "connect_network"])
def test_after_a_kill_rollback_restores_the_identical_host(operator: Operator, tmp_path: Path, record: str) -> None:
    host = operator.host
    before, facts = {**host_state(host), "name files": name_files(host)}, facts_of(host)
    write_plan(operator, facts, planned(facts).actions, tmp_path)
    for delay in (0.0, 0.03):
        runs = len(operator.runs())
        running = operator.start("apply", PLAN, "--yes")
        operator.wait_for_new_run(runs, running)
        operator.wait_for(f"intent {record}", running=running)
        time.sleep(delay)
        running.kill()
        running.wait()

        operator.remedy("rollback", "--yes", check=True)

        found = differences(before, {**host_state(host, traffic=False), "name files": name_files(host)})
        assert [line for line in found if not line.startswith("traffic")] == [], delay
        assert operator.json("rollback", "--yes")["result"] == "nothing"


def test_who_else_has_joined_is_told_and_kept(operator: Operator, tmp_path: Path) -> None:
    host = operator.host
    before, facts = host_state(host), facts_of(host)
    write_plan(operator, facts, planned(facts).actions, tmp_path)
    operator.remedy("apply", PLAN, "--yes", check=True)
    host.run(["docker", "network", "connect", NAME, STRANGER])
    host.run(["docker", "network", "disconnect", NAME, BACKENDS[0]])

    drift = operator.json("status")["drift"]
    assert [item["what"] for item in drift] == [f"{BACKENDS[0]} is not on the network {NAME} any more"]
    refused = operator.remedy("rollback", "--yes")
    assert refused.status == 7
    assert f"{STRANGER} has joined" in refused.stderr
    forced = operator.json("rollback", "--yes", "--force")
    assert forced["exit_code"] == 4
    assert any("docker network rm" in line for line in forced["leftover"])
    assert STRANGER in forced["message"]

    host.run(["docker", "network", "disconnect", NAME, STRANGER])
    operator.remedy("rollback", "--yes", check=True)
    assert differences(before, host_state(host)) == []


def test_a_network_that_would_take_the_default_route_is_refused_and_left_at_once(
    operator: Operator, tmp_path: Path
) -> None:
    host = operator.host
    host.run(["docker", "network", "create", "--subnet", "172.28.9.0/24", "aaa"])
    before, facts = host_state(host), facts_of(host)
    network = planned(facts, "aaa")
    assert {refusal.code for refusal in network.refusals} == {"default-route-would-move"}

    # Somebody whose engine does otherwise than foreseen: what apply sees counts.
    texts = {"summary": "s", "reason": "r", "before": "b", "after": "a", "inverse": "i"}
    members = tuple(m for a in planned(facts).actions if isinstance(a, ConnectNetwork) for m in a.members)
    forced = ConnectNetwork(id="connect_network", **texts, network="aaa", members=members[:1])
    write_plan(operator, facts, (forced,), tmp_path)
    done = operator.remedy("apply", PLAN, "--yes")

    assert done.status in (1, 3), done.stdout + done.stderr
    assert "default route" in done.stdout + done.stderr
    operator.wait_for_traffic(before)
    assert differences(before, host_state(host)) == []
    host.run(["docker", "network", "rm", "aaa"])


# --- what is looked at -------------------------------------------------------------------------------------------


def under_load(host: Host, change: Callable[[], object]) -> list[str]:
    """Losses of new connections from everywhere while something is changed; late answers of a busy machine aside."""
    with Loading(LoadOrder(vantages=loss_vantages(host))) as loading:
        time.sleep(0.3)
        change()
        time.sleep(0.5)
    assert all(vantage.connections > 50 for vantage in loading.result.vantages)
    return [line for vantage in loading.result.vantages for line in losses(vantage)]


def losses(vantage: VantageResult) -> list[str]:
    """A network that is joined closes nobody's connection, not even in order."""
    closed = [f"closed {vantage.keep_alive_closes} times"] if vantage.keep_alive_closes else []
    lost = (*lost_by_the_network(vantage), *broken_by_the_network(vantage), *closed)
    return [f"{vantage.name}: {line}" for line in lost]


def name_files(host: Host) -> dict[str, Any]:
    """resolv.conf and hosts of every container, with their inodes: they are mounted."""
    client = host.docker(timeout=20)
    try:
        inspects = [client.api.inspect_container(item["Id"]) for item in client.api.containers()]
    finally:
        client.close()
    paths = {item["Name"]: [host.path_of(item[key]) for key in ("HostsPath", "ResolvConfPath")] for item in inspects}
    return {
        name: [f"{path.stat().st_ino} {path.read_text()}" for path in sorted(files)] for name, files in paths.items()
    }


def names_that_do_not_answer(host: Host, facts: HostFacts, network: NetworkPlan) -> list[str]:
    """Asked from haproxy's own namespace, as haproxy will: each name, and the service's alias, by their addresses."""
    pid = host.container_pid(BALANCER)
    addresses = {name: address_of(facts, name) for name in MEMBERS}
    ids = {container.id: container.name for container in facts.containers}
    wanted = {name: {addresses[ids[id_]]} for id_, name in network.names.items()}
    api = network.service_aliases["dev1", "api"]
    wanted[api] = {addresses[name] for name in BACKENDS}
    answers = {name: run_in_network_namespace(pid, lambda name=name: asked(name)) for name in wanted}
    assert len(wanted) >= 3
    return [f"{name}: {answers[name]}, not {wanted[name]}" for name in wanted if answers[name] != wanted[name]]


def asked(name: str) -> set[Address]:
    """The addresses that the engine's DNS gives for a name."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.settimeout(2)
        packet = struct.pack(">6H", 1, 0x100, 1, 0, 0, 0) + question + struct.pack(">2H", 1, 1)
        channel.sendto(packet, ("127.0.0.11", 53))
        answer = channel.recv(4096)
    count, records = struct.unpack_from(">H", answer, 6)[0], answer[len(packet) :]
    # All of one length: the same name each time, and four bytes of address at the end.
    size = len(records) // max(count, 1)
    return {ip_address(records[size * number - 4 : size * number]) for number in range(1, count + 1)}


def address_of(facts: HostFacts, name: str) -> Address:
    endpoints = (e for c in facts.containers if c.name == name for e in c.endpoints if e.network_name == NAME)
    interface = next(endpoints).ipv4
    assert interface is not None
    return interface.ip


def differing_verdicts(predicted: HostFacts, real: HostFacts) -> list[str]:
    """Everybody's ways to every published port, and to the members' new addresses, by the members' names."""
    walks, found, count = (Datapath(predicted), Datapath(real)), [], 0
    clients = ["host", "external", *(container.name for container in real.containers)]
    targets = [(a, a, port) for a in host_addresses(real) if not a.is_link_local for port in (5001, 5002, 443)]
    targets += [(address_of(predicted, name), address_of(real, name), 8080) for name in MEMBERS]
    keys = ("reachable", "via", "by", "failure", "userspace_copies")
    for client in clients:
        for *addresses, port in targets:
            first, second = (
                walk.connect(client, HostPort(address=address, port=port))
                for walk, address in zip(walks, addresses, strict=True)
            )
            count += 1
            if first.reachable is None or any(getattr(first, key) != getattr(second, key) for key in keys):
                found.append(f"{client} -> {addresses[1]}:{port}: {first} and really {second}")
    direct = walks[0].connect(BALANCER, HostPort(address=address_of(predicted, BACKENDS[0]), port=8080))
    assert (direct.via, direct.by) == ("direct", BACKENDS[0])
    assert count > 50
    return found


def differing_rules(predicted: HostFacts, real: HostFacts) -> list[str]:
    supposed, made = (next(n.bridge or "" for n in f.networks if n.name == NAME) for f in (predicted, real))
    texts = {(table.family, table.variant): table.text for table in predicted.firewall.tables}
    found = []
    for table in real.firewall.tables:
        text = texts[table.family, table.variant].replace(supposed, made)
        found += rule_differences(normalised(text), normalised(table.text))
    return found
