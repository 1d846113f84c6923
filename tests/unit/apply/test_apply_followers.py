"""Containers that came after a run: whose they are, and by which the run is undone."""

from __future__ import annotations

from remedy.apply.followers import belongs_to_run, with_followers
from remedy.facts.model import Container, Endpoint, HostFacts
from remedy.plan.actions import ConnectNetwork, FileContent, NetworkMember, RewireHaproxy, WriteComposeOverride

TEXTS = {"summary": "s", "reason": "r", "before": "b", "after": "a", "inverse": "i"}
CONNECT = ConnectNetwork(
    id="c", **TEXTS, network="lb", members=(NetworkMember(container="dev1-api-1", container_id="old"),)
)
OVERRIDE = WriteComposeOverride(
    id="o", **TEXTS, path="/p", project="dev1", services=("api",), network="lb",
    content=FileContent(path="/p", raw=b"x"), original=FileContent(path="/p", raw=None),
    compose_files=(), working_directory="/",
)  # fmt: skip


def replica(template: Container, name: str, service: str = "api") -> Container:
    labels = {"com.docker.compose.project": "dev1", "com.docker.compose.service": service}
    endpoint = Endpoint(network_id="n", network_name="lb")
    return template.model_copy(update={"name": name, "id": f"id-{name}", "labels": labels, "endpoints": (endpoint,)})


def with_replica(facts: HostFacts, name: str, service: str = "api") -> HostFacts:
    made = replica(facts.containers[0], name, service)
    return facts.model_copy(update={"containers": (*facts.containers, made)})


def test_more_of_an_overridden_service_leave_the_network_with_it(facts: HostFacts) -> None:
    undone = with_followers(CONNECT, (CONNECT, OVERRIDE), with_replica(facts, "dev1-api-9"))

    assert isinstance(undone, ConnectNetwork)
    assert [member.container for member in undone.members] == ["dev1-api-1", "dev1-api-9"]


def test_strangers_on_the_network_stay_strangers(facts: HostFacts) -> None:
    host = with_replica(facts, "stranger-1", "other")

    assert with_followers(CONNECT, (CONNECT, OVERRIDE), host) is CONNECT
    assert not belongs_to_run(host.containers[-1], (CONNECT, OVERRIDE), "lb")
    assert belongs_to_run(replica(facts.containers[0], "dev1-api-1", "x"), (CONNECT,), "lb")


def test_haproxy_is_led_back_in_the_container_that_took_its_place(facts: HostFacts) -> None:
    action = RewireHaproxy(
        id="r", **TEXTS, container="dev1-haproxy-1", container_id="gone", network="lb", files=(), servers=()
    )

    undone = with_followers(action, (action,), with_replica(facts, "dev1-haproxy-1-new"))
    today = with_followers(action, (action,), facts.model_copy(update={"containers": ()}))

    assert isinstance(undone, RewireHaproxy)
    assert undone.container_id == next(c.id for c in facts.containers if c.name == "dev1-haproxy-1")
    assert today is action
