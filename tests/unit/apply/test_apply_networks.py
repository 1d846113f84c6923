"""Networks that a run made and joined: what the operator is told, and what is not pulled away from whom."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

import remedy.apply.undo as undo_module
from remedy.actions.context import ActionContext
from remedy.apply.by_hand import commands_by_hand
from remedy.apply.foreign import foreign_changes
from remedy.apply.journal import Journal
from remedy.apply.progress import Progress
from remedy.apply.restarts import interfaces_with_another_name
from remedy.apply.runs import Run
from remedy.apply.settings import Settings
from remedy.apply.status import status_report
from remedy.apply.undo import undo_actions
from remedy.facts.model import Endpoint, HostFacts, Network
from remedy.plan.actions import ConnectNetwork, CreateNetwork, NetworkMember, RewireHaproxy
from remedy.plan.model import Plan

TEXTS = {"summary": "s", "reason": "r", "before": "b", "after": "a", "inverse": "i"}
SUBNET = ip_network("172.30.255.0/24")
CREATE = CreateNetwork(id="create_network", **TEXTS, name="lb", internal=True, subnets=(SUBNET,), labels={})
Journalled = Callable[..., Run]


@pytest.fixture
def connect(facts: HostFacts) -> ConnectNetwork:
    members = tuple(NetworkMember(container=c.name, container_id=c.id) for c in facts.containers[:2])
    return ConnectNetwork(id="connect_network", **TEXTS, network="lb", members=members)


@pytest.fixture
def plan(plan: Plan, connect: ConnectNetwork) -> Plan:
    return plan.model_copy(update={"actions": (CREATE, connect)})


def joined(facts: HostFacts, *names: str) -> HostFacts:
    """With the network, and these containers on it."""
    values: dict[str, Any] = {"scope": "local", "internal": True, "enable_ipv6": False, "gateways": (), "options": {}}
    labels = {"remedy.intent": "abc"}
    network = Network(id="n1", name="lb", driver="bridge", subnets=(SUBNET,), bridge="br-lb", labels=labels, **values)
    endpoint = Endpoint(network_id="n1", network_name="lb")
    containers = tuple(
        c.model_copy(update={"endpoints": (*c.endpoints, endpoint)}) if c.name in names else c for c in facts.containers
    )
    return facts.model_copy(update={"networks": (*facts.networks, network), "containers": containers})


def test_the_commands_leave_the_network_and_put_the_files_back(connect: ConnectNetwork, tmp_path: Path) -> None:
    resolver = tmp_path / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.11\n")
    files = {connect.members[1].container_id: {str(resolver): base64.b64encode(b"nameserver 192.0.2.1\n").decode()}}

    lines = commands_by_hand(connect, {"present": [connect.members[0].container_id], "files": files})

    assert lines[0] == f"docker network disconnect lb {connect.members[1].container} || true"
    subprocess.run(["sh", "-ec", lines[1]], check=True)
    assert resolver.read_text() == "nameserver 192.0.2.1\n"


def test_only_the_network_of_this_run_is_removed() -> None:
    assert commands_by_hand(CREATE, {"intent": "abc"})[-1] == (
        "docker network rm $(docker network ls -q --filter label=remedy.intent=abc)"
    )


def test_a_stranger_on_the_network_is_told_before_it_is_removed(journalled: Journalled, facts: HostFacts) -> None:
    run = journalled("started", ("intent", "create_network", {"undo": {"intent": "abc"}}), "committed")
    names = [c.name for c in facts.containers]

    assert foreign_changes(run, joined(facts, *names[:2])) == ()
    assert foreign_changes(run, joined(facts, *names[:3])) == (
        f"{names[2]} has joined the network lb, which cannot be removed below it",
    )


def test_somebody_elses_network_of_that_name_is_no_business_of_ours(journalled: Journalled, facts: HostFacts) -> None:
    run = journalled("started", ("intent", "create_network", {"undo": {"intent": "other"}}), "committed")

    assert foreign_changes(run, joined(facts, *(c.name for c in facts.containers))) == ()


def test_who_left_the_network_is_drift_and_so_is_its_end(
    journalled: Journalled, facts: HostFacts, tmp_path: Path
) -> None:
    run = journalled("started", ("intent", "connect_network", {}), "committed")
    settings = Settings(state_dir=tmp_path / "state", socket="unix:///nowhere")
    settings.runs_dir.mkdir(parents=True)
    run.directory.rename(settings.runs_dir / run.id)
    names = [c.name for c in facts.containers]

    assert status_report(joined(facts, *names[:2]), None, settings).drift == ()
    left = status_report(joined(facts, names[0]), None, settings).drift
    assert [drift.what for drift in left] == [f"{names[1]} is not on the network lb any more"]
    gone = status_report(facts, None, settings).drift
    assert [drift.what for drift in gone] == ["the network lb is gone"]


def test_haproxys_network_stays_while_haproxy_cannot_be_led_back(
    connect: ConnectNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewire = RewireHaproxy(
        id="rewire_haproxy", **TEXTS, container="lb", container_id="1", network="lb", files=(), servers=()
    )
    reverted: list[str] = []

    class Executor:
        def __init__(self, action: Any, _context: ActionContext) -> None:
            self._action = action

        def revert(self, _undo: dict[str, object]) -> None:
            if self._action is rewire:
                raise OSError("no reload")
            reverted.append(self._action.id)

    monkeypatch.setattr(undo_module, "executor_for", Executor)
    journal = Journal.create(tmp_path / "run")
    begun = ((rewire, {}), (connect, {}), (CREATE, {}))

    context = ActionContext.for_host("unix:///nowhere", tmp_path)
    undone = undo_actions(begun, context, journal, Progress("run", lambda _event: None))

    assert reverted == []
    assert [failure.action.id for failure in undone.failed] == ["rewire_haproxy", "connect_network", "create_network"]
    assert "comes after" in undone.why


def test_an_interface_that_kept_the_second_name_is_told_with_the_cure(plan: Plan, facts: HostFacts) -> None:
    """Docker 28.5 gives eth0 and eth1 in no fixed order to a container that starts on two networks."""
    member, other = facts.containers[0], facts.containers[2]
    assert interfaces_with_another_name(plan, facts) == ()

    renamed = with_interfaces_called(facts, "eth1", member.id, other.id)
    (warning,) = interfaces_with_another_name(plan, renamed)
    assert warning.startswith(f"the interface of {member.name} is called eth1")
    assert warning.endswith(f"docker restart {member.name}")
    assert interfaces_with_another_name(plan, joined(renamed, member.name)) == (), "it is on two networks"


def with_interfaces_called(facts: HostFacts, name: str, *containers: str) -> HostFacts:
    namespaces = tuple(
        n.model_copy(
            update={"links": tuple(ln.model_copy(update={"name": name}) if ln.name == "eth0" else ln for ln in n.links)}
        )
        if set(n.containers) & set(containers)
        else n
        for n in facts.namespaces
    )
    return facts.model_copy(update={"namespaces": namespaces})
