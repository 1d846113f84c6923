"""The compose override: what it says, where it goes, and when it is only printed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ruamel.yaml import YAML

from remedy.facts.model import ComposeProject, Container, FileState, HostFacts
from remedy.plan.compose_override import plan_overrides
from remedy.plan.model import WriteComposeOverride

NETWORK = "remedy-lb"
ALIASES = {("dev1", "api"): "dev1-api", ("dev1", "haproxy"): "dev1-haproxy"}


def on_project_network(facts: HostFacts) -> HostFacts:
    """The operator's containers on a network of the project's own, instead of the default bridge."""
    bridge = next(network for network in facts.networks if network.name == "bridge")
    labels = {"com.docker.compose.project": "dev1", "com.docker.compose.network": "default"}
    own = bridge.model_copy(update={"id": "own", "name": "dev1_default", "labels": labels})

    def moved(container: Container) -> Container:
        endpoint = container.endpoints[0].model_copy(update={"network_id": "own", "network_name": "dev1_default"})
        return container.model_copy(update={"endpoints": (endpoint,), "network_mode": "dev1_default"})

    return facts.model_copy(
        update={"containers": tuple(map(moved, facts.containers)), "networks": (*facts.networks, own)}
    )


def with_project(facts: HostFacts, **changes: Any) -> HostFacts:
    values: dict[str, Any] = {
        "name": "dev1",
        "working_directory": "/srv/dev1",
        "files": ("/srv/dev1/compose.yaml",),
        "compose_installed": True,
        "override": FileState(path="/srv/dev1/compose.override.yaml"),
        "is_read_by_compose": True,
        "uid": 1000,
        "gid": 1000,
        "mode": 0o640,
    }
    return facts.model_copy(update={"compose_projects": (ComposeProject(**{**values, **changes}),)})


@pytest.fixture
def bridged(facts_of: Callable[[str], HostFacts]) -> HostFacts:
    return facts_of("operator-28.5")


@pytest.fixture
def own_network(bridged: HostFacts) -> HostFacts:
    return on_project_network(bridged)


def planned(facts: HostFacts) -> tuple[list[WriteComposeOverride], dict[str, str]]:
    actions, warnings = plan_overrides(facts, NETWORK, facts.containers, ALIASES)
    return [a for a in actions if isinstance(a, WriteComposeOverride)], {w.code: w.detail for w in warnings}


def said(action: WriteComposeOverride) -> dict[str, Any]:
    return dict(YAML(typ="rt").load((action.content.raw or b"").decode()))


def test_each_service_keeps_its_networks_and_joins_the_new_one(own_network: HostFacts) -> None:
    (action,), warnings = planned(with_project(own_network))

    assert said(action) == {
        "services": {
            "api": {"networks": {"default": {}, NETWORK: {"aliases": ["dev1-api"]}}},
            "haproxy": {"networks": {"default": {}, NETWORK: {"aliases": ["dev1-haproxy"]}}},
        },
        "networks": {NETWORK: {"external": True, "name": NETWORK}},
    }
    assert (action.content.raw or b"").startswith(b"# Written by remedy.")
    assert set(warnings) == {"compose-recreates"}


def test_the_file_belongs_to_whom_the_project_belongs(own_network: HostFacts) -> None:
    (action,), _ = planned(with_project(own_network))

    assert (action.content.uid, action.content.gid, action.content.mode) == (1000, 1000, 0o640)
    assert action.original.raw is None


def test_a_service_on_the_default_bridge_leaves_it_and_that_is_said(bridged: HostFacts) -> None:
    (action,), warnings = planned(with_project(bridged))

    assert b"network_mode: !reset null\n" in (action.content.raw or b"")
    assert "compose-leaves-bridge" in warnings


def test_what_lies_there_already_is_not_written_again(own_network: HostFacts) -> None:
    (action,), _ = planned(with_project(own_network))
    written = FileState(path=action.path, raw=action.content.raw)

    actions, warnings = planned(with_project(own_network, override=written))

    assert actions == []
    assert warnings == {}


def test_a_project_with_files_of_its_own_choice_is_told_how_to_include_it(own_network: HostFacts) -> None:
    override = FileState(path="/srv/dev1/compose.remedy.yaml")
    facts = with_project(own_network, override=override, is_read_by_compose=False, files=("/srv/dev1/prod.yaml",))

    _, warnings = planned(facts)

    assert "-f /srv/dev1/prod.yaml -f /srv/dev1/compose.remedy.yaml up -d" in warnings["compose-include"]


def test_labels_of_another_machine_are_no_refusal_but_a_text_to_paste(own_network: HostFacts) -> None:
    facts = with_project(own_network, problem="no such file or directory", override=None)

    actions, warnings = planned(facts)

    assert actions == []
    assert "external: true" in warnings["compose-snippet"]


def test_a_network_of_the_project_itself_needs_nothing(own_network: HostFacts) -> None:
    actions, warnings = plan_overrides(with_project(own_network), "dev1_default", own_network.containers, {})

    assert actions == ()
    assert warnings == ()


def test_services_that_compose_has_put_there_need_nothing(own_network: HostFacts) -> None:
    def joined(container: Container) -> Container:
        service = container.labels["com.docker.compose.service"]
        endpoint = container.endpoints[0].model_copy(update={"network_name": NETWORK, "aliases": (service,)})
        return container.model_copy(update={"endpoints": (*container.endpoints, endpoint)})

    facts = own_network.model_copy(update={"containers": tuple(map(joined, own_network.containers))})

    assert planned(with_project(facts)) == ([], {})


def test_a_container_of_docker_run_is_told_what_undoes_it(bridged: HostFacts) -> None:
    plain = tuple(c.model_copy(update={"labels": {}}) for c in bridged.containers)

    actions, warnings = planned(bridged.model_copy(update={"containers": plain}))

    assert actions == []
    assert f"--network {NETWORK}" in warnings["recreation"]


def test_hostile_labels_stay_inside_their_scalars(own_network: HostFacts) -> None:
    evil = "api:\n    privileged: true\n  x"

    def relabelled(container: Container) -> Container:
        return container.model_copy(update={"labels": {**container.labels, "com.docker.compose.service": evil}})

    facts = own_network.model_copy(update={"containers": tuple(map(relabelled, own_network.containers))})
    (action,), _ = planned(with_project(facts))

    assert list(said(action)["services"]) == [evil]
