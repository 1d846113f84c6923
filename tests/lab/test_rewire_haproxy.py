"""haproxy's servers to other addresses, on real engines: nothing is lost, and every byte comes back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import LabHost
from haproxy_variants import Variant, make_shellless_image, start, variants
from rewiring import Rewiring

from remedy.lab import Host

pytestmark = pytest.mark.lab

ALL = {variant.name: variant for variant in variants()}


@pytest.fixture(scope="module")
def host(module_lab_host: LabHost) -> Iterator[Host]:
    """One host with a haproxy of every kind."""
    host = module_lab_host("28.5", "nft", Path(__file__).parent / "topologies" / "many-haproxies.yaml")
    make_shellless_image(host)
    for name in ("api-1", "api-2"):
        host.run(["docker", "network", "connect", "lb", name])
    for variant in ALL.values():
        start(host, variant)
    yield host


def rewiring(host: Host, variant: Variant) -> Rewiring:
    return Rewiring(host, variant.name, how=variant.how, files=bool(variant.files))


def sources(host: Host, name: str) -> set[str]:
    """The addresses from which the backends see haproxy come: the gateway's, or its own on the network."""
    address = host.run(["docker", "inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", name]).stdout
    found = set()
    for _ in range(4):
        answer = host.run(["curl", "-s", "-m", "3", f"http://{address.strip()}:8080/"]).stdout
        found |= set(re.findall(r"src=(\S+)", answer))
    return found


def files(host: Host, variant: Variant) -> list[str]:
    """Each file's bytes, inode, mode and owner."""
    return [host.run(["sh", "-c", f"stat -c '%i %a %u:%g' {p}; sha256sum < {p}"]).stdout for p in variant.files]


@pytest.mark.parametrize("name", ALL)
def test_it_is_led_to_its_containers_and_back(host: Host, name: str) -> None:
    variant = ALL[name]
    before = files(host, variant)
    assert sources(host, name) == {"172.17.0.1"}

    applied = rewiring(host, variant).must("apply")
    assert applied["is_applied"]
    assert all(source.startswith("172.31.7.") for source in sources(host, name))
    again = rewiring(host, variant).must("apply")
    assert again["is_applied"]

    rewiring(host, variant).must("revert")
    assert files(host, variant) == before
    assert sources(host, name) == {"172.17.0.1"}
    rewiring(host, variant).must("revert")
    assert files(host, variant) == before
