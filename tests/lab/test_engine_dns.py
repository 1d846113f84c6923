"""haproxy 2.6 and 3.2 hear of names again after the engine's restart, and give a name to all who share it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest
from conftest import LabHost
from haproxy_variants import IMAGE

from remedy.facts.model import HostFacts
from remedy.haproxy_cfg.edit import ResolversSection, ServerEdit, edit_config
from remedy.haproxy_cfg.engine_dns import transport_for
from remedy.host.namespaces import run_in_network_namespace
from remedy.lab import Host, Topology
from remedy.lab.layout import find_layout
from remedy.lab.rootfs import haproxy_archive

pytestmark = pytest.mark.lab

TOPOLOGY = {
    "daemon_json": {"live-restore": True},
    "networks": [{"name": "lb", "subnets": ["172.31.7.0/24"], "internal": True}],
    "containers": [{"name": "api", "listen": [8080, 8081], "networks": [{"network": "lb", "ipv4": "172.31.7.20"}]}],
}
CONFIG = b"""\
global
    stats socket ipv4@127.0.0.1:9999 level admin
defaults
    mode http
    timeout connect 2s
    timeout client 5s
    timeout server 5s
backend api
    server one 172.17.0.1:5001
    server two 172.17.0.1:5002 resolve-opts ignore-weight
"""
# One that asks by UDP and one that must ask by TCP. Each other series costs a minute and a half to build: 3.0 was tried
# by hand.
SERIES = {"2.6": None, "3.2": "forky"}


@pytest.fixture(scope="module")
def host(module_lab_host: LabHost) -> Host:
    """One host with a haproxy of each series, configured as its own version is to be."""
    host = module_lab_host("28.5", "nft", Topology.model_validate(TOPOLOGY))
    for series, suite in SERIES.items():
        image = IMAGE if suite is None else f"haproxy:{series}"
        if suite is not None:
            archive = haproxy_archive(suite, find_layout().cache, print)
            host.run(["docker", "import", "-", image], stdin=archive.read_bytes(), timeout=120)
        start(host, series, image)
        version = version_of(host, series)
        assert version.startswith(series), version
        start(host, series, image, edited(version))
    return host


def edited(version: str) -> bytes:
    edits = [
        ServerEdit("haproxy.cfg", CONFIG[: CONFIG.index(name)].count(b"\n") + 1, "api", port, None, "remedy",
                   "last,libc,none", None, "allow-dup-ip")
        for name, port in ((b"server one", 8080), (b"server two", 8081))
    ]  # fmt: skip
    return edit_config(CONFIG, edits, ResolversSection("remedy", transport_for(version)))


def start(host: Host, name: str, image: str, config: bytes = CONFIG) -> None:
    host.run(["mkdir", "-p", f"/srv/{name}"])
    host.write_file(f"/srv/{name}/haproxy.cfg", config)
    host.run(["docker", "rm", "-f", name], check=False)
    command = ["haproxy", "-W", "-db", "-f", "/c/haproxy.cfg"]
    mount = f"/srv/{name}:/c:ro"
    host.run(["docker", "run", "-d", "--name", name, "--network", "lb", "-v", mount, "--entrypoint", *command[:1],
              image, *command[1:]])  # fmt: skip


def version_of(host: Host, name: str) -> str:
    facts = HostFacts.model_validate_json(host.run(["remedy", "facts"], timeout=60).stdout)
    container = next(c.id for c in facts.containers if c.name == name)
    return next(h.version or "" for h in facts.haproxies if h.container_id == container)


def servers(host: Host, name: str) -> list[tuple[str, bool]]:
    """Address, and whether it is up, of each server; none while haproxy does not listen yet."""

    def ask() -> str:
        with socket.create_connection(("127.0.0.1", 9999), 2) as channel:
            channel.sendall(b"show servers state api\n")
            with channel.makefile() as answer:
                return answer.read()

    try:
        told = run_in_network_namespace(host.container_pid(name), ask)
    except ConnectionRefusedError:
        return []
    rows = [line.split() for line in told.splitlines()]
    return [(row[4], row[5] == "2") for row in rows if len(row) > 10 and row[1] == "api"]


def wait_until(check: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not check() and time.monotonic() < deadline:
        time.sleep(0.3)


def test_a_name_that_moved_while_the_engine_was_restarted_is_followed_by_all_its_servers(host: Host) -> None:
    for address in ("172.31.7.20", "172.31.7.99"):
        wanted = dict.fromkeys(SERIES, [(address, True)] * 2)
        wait_until(lambda wanted=wanted: {name: servers(host, name) for name in SERIES} == wanted)
        assert {name: servers(host, name) for name in SERIES} == wanted
        if address == "172.31.7.20":
            host.run(["systemctl", "restart", "docker"], timeout=60)
            host.run(["docker", "network", "disconnect", "lb", "api"])
            host.run(["docker", "network", "connect", "--ip", "172.31.7.99", "lb", "api"])
