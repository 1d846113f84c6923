"""The compose override: what it says, where it goes, and when it is only printed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ruamel.yaml import YAML

from remedy.facts.model import ComposeProject, Container, FileState, HostFacts
from remedy.plan.actions import WriteComposeOverride
from remedy.plan.compose_override import plan_overrides

NETWORK = "remedy-lb"
ALIASES = {("dev1", "api"): "dev1-api", ("dev1", "haproxy"): "dev1-haproxy"}


def on_project_network(facts: HostFacts) -> HostFacts:
    """The operator's containers on a network of the project's own, instead of the default bridge."""
    bridge = next(network for network in facts.networks if network.name == "bridge")
    labels = {"com.docker.compose.project": "dev1", "com.docker.compose.network": "default"}
    own = bridge.model_copy(update={"id": "own", "name": "dev1_default", "labels": labels})

    def moved(container: Container) -> Container:
        service = container.labels["com.docker.compose.service"]
        endpoint = container.endpoints[0].model_copy(
            update={"network_id": "own", "network_name": "dev1_default", "aliases": (service, container.name)}
        )
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
    assert f"docker network connect {NETWORK} " in warnings["recreation"]
    assert "--network" not in warnings["recreation"]


def test_hostile_labels_stay_inside_their_scalars(own_network: HostFacts) -> None:
    evil = "api:\n    privileged: true\n  x"

    def relabelled(container: Container) -> Container:
        return container.model_copy(update={"labels": {**container.labels, "com.docker.compose.service": evil}})

    facts = own_network.model_copy(update={"containers": tuple(map(relabelled, own_network.containers))})
    (action,), _ = planned(with_project(facts))

    assert list(said(action)["services"]) == [evil]


def test_an_override_that_compose_has_taken_up_still_takes_the_bridge_away(bridged: HostFacts) -> None:
    """The containers are on the project's default network by then; the project's own file still says bridge."""
    (action,), _ = planned(with_project(bridged))
    recreated = with_project(on_project_network(bridged), override=FileState(path=action.path, raw=action.content.raw))

    assert planned(recreated) == ([], {})


def test_an_external_network_that_the_files_call_default_is_kept(own_network: HostFacts) -> None:
    networks = tuple(n.model_copy(update={"labels": {}}) for n in own_network.networks)
    facts = own_network.model_copy(update={"networks": networks})

    (action,), _ = planned(with_project(facts, default_network="dev1_default"))

    assert said(action)["services"]["api"]["networks"] == {"default": {}, NETWORK: {"aliases": ["dev1-api"]}}


def test_a_network_of_the_project_goes_by_the_projects_key(own_network: HostFacts) -> None:
    labels = {"com.docker.compose.project": "dev1", "com.docker.compose.network": "back"}
    back = own_network.networks[0].model_copy(update={"id": "b", "name": NETWORK, "labels": labels})
    facts = own_network.model_copy(update={"networks": (*own_network.networks, back)})

    (action,), _ = planned(with_project(facts))

    assert said(action)["services"]["api"]["networks"] == {"default": {}, "back": {"aliases": ["dev1-api"]}}
    assert "networks" not in said(action)


def test_a_key_that_the_project_uses_for_another_network_is_not_taken(own_network: HostFacts) -> None:
    labels = {"com.docker.compose.project": "dev1", "com.docker.compose.network": NETWORK}
    other = own_network.networks[0].model_copy(update={"id": "b", "name": f"dev1_{NETWORK}", "labels": labels})
    facts = own_network.model_copy(update={"networks": (*own_network.networks, other)})

    (action,), _ = planned(with_project(facts))

    assert said(action)["networks"] == {f"{NETWORK}-shared": {"external": True, "name": NETWORK}}


def test_the_name_by_which_haproxy_finds_an_only_container_is_kept(own_network: HostFacts) -> None:
    balancer = next(c for c in own_network.containers if c.name == "dev1-haproxy-1")

    actions, _ = plan_overrides(with_project(own_network), NETWORK, [balancer], ALIASES, {balancer.id: "balancer-x"})

    (action,) = [a for a in actions if isinstance(a, WriteComposeOverride)]
    assert said(action)["services"]["haproxy"]["networks"][NETWORK] == {"aliases": ["dev1-haproxy", "balancer-x"]}


def test_a_name_with_the_networks_own_behind_it_needs_no_alias(own_network: HostFacts) -> None:
    names = {c.id: f"{c.name}.{NETWORK}" for c in own_network.containers}

    actions, _ = plan_overrides(with_project(own_network), NETWORK, own_network.containers, ALIASES, names)

    assert list(actions) == planned(with_project(own_network))[0]


@pytest.mark.parametrize("mode", ["host", "none", "container:abc"])
def test_a_mode_that_allows_no_networks_is_told(own_network: HostFacts, mode: str) -> None:
    containers = tuple(c.model_copy(update={"network_mode": mode, "endpoints": ()}) for c in own_network.containers)

    actions, warnings = planned(with_project(own_network.model_copy(update={"containers": containers})))

    assert actions == []
    assert mode in warnings["compose-mode"]


def test_a_compose_that_cannot_take_the_bridge_away_is_told(bridged: HostFacts) -> None:
    containers = tuple(
        c.model_copy(update={"labels": {**c.labels, "com.docker.compose.version": "2.17.3"}})
        for c in bridged.containers
    )

    actions, warnings = planned(with_project(bridged.model_copy(update={"containers": containers})))

    assert actions == []
    assert "2.18" in warnings["compose-too-old"]


def test_who_stays_on_the_default_bridge_is_named(bridged: HostFacts) -> None:
    stranger = bridged.containers[0].model_copy(update={"id": "s", "name": "stranger", "labels": {}})
    facts = with_project(bridged.model_copy(update={"containers": (*bridged.containers, stranger)}))

    _, warnings = plan_overrides(facts, NETWORK, bridged.containers, ALIASES)

    assert "stranger stay there" in next(w.detail for w in warnings if w.code == "compose-leaves-bridge")


def test_names_that_yaml_takes_for_numbers_are_quoted(own_network: HostFacts) -> None:
    containers = tuple(
        c.model_copy(update={"labels": {**c.labels, "com.docker.compose.service": "1_000"}})
        for c in own_network.containers
    )

    (action,), _ = planned(with_project(own_network.model_copy(update={"containers": containers})))

    assert b'"1_000":' in (action.content.raw or b"")


def test_files_that_include_the_override_already_need_no_telling(own_network: HostFacts) -> None:
    override = FileState(path="/srv/dev1/compose.remedy.yaml")
    files = ("/srv/dev1/prod.yaml", "/srv/dev1/compose.remedy.yaml")

    (action,), warnings = planned(with_project(own_network, override=override, files=files, is_read_by_compose=True))

    assert "compose-include" not in warnings
    assert action.compose_files == ("/srv/dev1/prod.yaml",)
