"""The lab host that the pages' commands run on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from remedy.lab import Host, find_layout, lab_up


@pytest.fixture(scope="session")
def shared_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Called `first`, as in the tutorial, in a lab of its own: an operator's host of that name is left alone."""
    layout = find_layout(directory=tmp_path_factory.mktemp("lab"))
    with lab_up("first", engine="28.5", firewall="nft", topology="operator", layout=layout) as host:
        yield host


@pytest.fixture
def page_host(shared_host: Host) -> Iterator[Host]:
    """The shared host as each page finds it: nothing applied, and no file of a page before."""
    _reset(shared_host)
    yield shared_host
    _reset(shared_host)


def _reset(host: Host) -> None:
    host.run(["remedy", "rollback", "--yes", "--force"], timeout=120)
    host.run(["bash", "-c", "rm -rf /etc/remedy /root/* /var/lib/remedy; mkdir -p /root"])


@pytest.fixture
def own_lab(tmp_path: Path) -> Iterator[Path]:
    """A directory for the hosts that a page starts on this machine; they are gone afterwards."""
    directory = tmp_path / "lab"
    yield directory
    from remedy.lab import take_all_down

    take_all_down(find_layout(directory=directory))
