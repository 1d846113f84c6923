"""The lab for tests: real Docker hosts, taken down afterwards. A host that cannot start fails the test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from controlling import wheels_for

from remedy.lab import ENGINES, FIREWALLS, Host, Topology, lab_up

LabHost = Callable[..., Host]

_numbers = itertools.count(1)


@pytest.fixture
def lab_host() -> Iterator[LabHost]:
    """A factory: lab_host(engine="28.5", firewall="nft", topology="operator", scale=None) -> Host."""
    yield from _factory()


@pytest.fixture(scope="module")
def module_lab_host() -> Iterator[LabHost]:
    """The same factory for hosts that the tests of a module share."""
    yield from _factory()


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make dist` collects, for the Python of the hosts with engine 28.5: built once for all who install."""
    return wheels_for("3.14", tmp_path_factory.mktemp("wheels"))


def _factory() -> Iterator[LabHost]:
    hosts: list[Host] = []

    def make(
        engine: str = ENGINES[-1],
        firewall: str = FIREWALLS[0],
        topology: str | Path | Topology = "operator",
        *,
        name: str | None = None,
        scale: dict[str, int] | None = None,
        engine_directory: Path | None = None,
    ) -> Host:
        # Two test runs on one machine share a lab, so the name says whose host it is.
        host = lab_up(
            name or f"t{os.getpid()}-{next(_numbers)}",
            engine=engine,
            firewall=firewall,
            topology=topology,
            scale=scale,
            engine_directory=engine_directory,
        )
        hosts.append(host)
        return host

    yield make
    for host in reversed(hosts):
        host.down()
