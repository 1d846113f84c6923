"""Random hosts come from their seed alone, and every one can be made."""

from __future__ import annotations

from collections import Counter

import pytest

from remedy.lab.containers import container_request
from remedy.lab.layout import ENGINES, FIREWALLS, check_host_name
from remedy.lab.topology import Topology
from remedy.truth.generate import generate
from remedy.truth.networks import KINDS_OF_28, KINDS_OF_ALL
from remedy.truth.scenario import Kind, ProxyMode, kinds

SEEDS = range(40)


def test_every_engine_firewall_and_mode_of_the_proxy_is_a_kind_once() -> None:
    assert Counter(kinds()) == {
        Kind(engine, firewall, mode): 1 for engine in ENGINES for firewall in FIREWALLS for mode in ProxyMode
    }


@pytest.mark.parametrize("kind", [Kind("20.10", "legacy", ProxyMode.FLIPPED), Kind("28.5", "nft", ProxyMode.ON)])
def test_the_same_seed_gives_the_same_host_and_another_another(kind: Kind) -> None:
    assert generate(7, kind) == generate(7, kind)
    assert generate(7, kind) != generate(8, kind)


def test_hosts_can_be_described_to_lab_and_engine() -> None:
    for kind in kinds():
        for seed in SEEDS:
            topology = generate(seed, kind).topology
            assert Topology.model_validate(topology.model_dump()) == topology
            for container in topology.containers:
                assert container_request(container, topology)["Image"]


def test_names_are_fit_for_the_lab_and_differ() -> None:
    names = {check_host_name(f"t4194304-{generate(98_765, kind).name}") for kind in kinds()}
    assert len(names) == len(list(kinds()))


def test_no_two_containers_publish_the_same_port() -> None:
    for kind in kinds():
        for seed in SEEDS:
            scenario = generate(seed, kind)
            containers = (*scenario.topology.containers, *scenario.late.containers)
            ports = [publish.host_port for container in containers for publish in container.publish]
            assert len(ports) == len(set(ports))


def test_only_flipped_hosts_begin_with_the_proxy_and_end_without() -> None:
    for kind in kinds():
        scenario = generate(1, kind)
        daemon_json = scenario.topology.daemon_json
        assert isinstance(daemon_json, dict)
        assert daemon_json["userland-proxy"] is (kind.proxy is not ProxyMode.OFF)
        assert bool(scenario.late.containers) is (kind.proxy is ProxyMode.FLIPPED)


def test_every_kind_of_network_comes_up_and_those_of_28_only_there() -> None:
    def names(engine: str) -> set[str]:
        found = (generate(seed, Kind(engine, "nft", ProxyMode.ON)).topology.networks for seed in range(80))
        return {network.name.rstrip("0123456789") for networks in found for network in networks}

    assert {kind.rstrip("46") for kind in KINDS_OF_ALL} <= {name.rstrip("v") or name for name in names("20.10")} | {"v"}
    assert not names("20.10") & set(KINDS_OF_28)
    assert set(KINDS_OF_28) <= names("28.5")
