"""What the watcher's own process does without, because nobody needs it and it would stay for months."""

from __future__ import annotations

import subprocess
import sys

import pytest

MODULES = ("email", "zipfile", "importlib.metadata", "docker", "requests", "rich", "typer", "ruamel.yaml", "shutil")
PROGRAM = """
import sys
from remedy.watch.__main__ import leave_openssl_out, leave_plugins_out
leave_openssl_out()
leave_plugins_out()
from remedy.cli.views.watch import teller
from remedy.facts.model import Endpoint, FirewallBackend
from remedy.firewall.nftables_writer import NftablesWriter
from remedy.watch.service import watch_until_stopped
from remedy.watch.warming_up import warm_up
NftablesWriter.read_differences = lambda *_: ()  # of this machine nothing is read
warm_up(FirewallBackend.IPTABLES_NFT)
assert Endpoint(network_id="1", network_name="n").network_name == "n"
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def loaded() -> frozenset[str]:
    done = subprocess.run([sys.executable, "-P", "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return frozenset(done.stdout.split())


@pytest.mark.parametrize("name", MODULES)
def test_the_watcher_does_without(name: str, loaded: frozenset[str]) -> None:
    assert name not in loaded


def test_what_a_transaction_needs_is_there_before_the_first(loaded: frozenset[str]) -> None:
    assert {"remedy.actions.hairpin_mode", "filelock"} <= loaded
