"""The hosts whose throughput is compared: untouched, changed by remedy, and changed by hand to the same end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from remedy.bench.vantages import BALANCER, GATEWAY, container_netns
from remedy.bench.wrk import Target
from remedy.lab import Host, lab_up

SPEC = "/root/remedy.yaml"
SUBNET = "172.17.0.0/16"
SERVER, SERVER_PORT, PORT = "dev1-api-1", 8080, 5001
NETWORK = "by-hand"
CONFIG = "/srv/dev1/haproxy.cfg"
HEAD = """\
version: 1
load_balancer: dev1-haproxy-1
backends:
  - containers: [dev1-api-1, dev1-api-2, dev1-api-3]
    port: 8080
"""


@dataclass(frozen=True, slots=True)
class Way:
    """One way from a container to a published port: how the host is prepared for it, and which one it should equal."""

    name: str
    prepare: Callable[[Host], None]
    by_hand: str | None = None  # the name of the way that was set up by hand to the same end
    is_direct: bool = False  # haproxy goes straight to the containers: what counts is the way through it


def leave_untouched(_host: Host) -> None:
    """docker-proxy carries it."""


def applied(remedies: str) -> Callable[[Host], None]:
    """A host on which remedy has applied this."""

    def prepare(host: Host) -> None:
        host.write_file(SPEC, f"{HEAD}{remedies}\n")
        host.run(["remedy", "-c", SPEC, "apply", "--yes"], timeout=300)

    return prepare


def switch_off_by_hand(host: Host) -> None:
    """daemon.json, a restart, containers and all."""
    host.write_file("/etc/docker/daemon.json", '{"userland-proxy": false}\n')
    host.run(["systemctl", "restart", "docker"], timeout=120)
    host.run(["docker", "start", *host.run(["docker", "ps", "-aq"]).stdout.split()], timeout=60)


def redirect_by_hand(host: Host) -> None:
    """The two rules for each backend that an operator would write."""
    for number in (1, 2, 3):
        server, port = _address_of(host, f"dev1-api-{number}"), str(PORT + number - 1)
        match = ["-p", "tcp", "--dport"]
        redirect = ["-i", "docker0", "-d", GATEWAY, *match, port, "-j", "DNAT", "--to", f"{server}:{SERVER_PORT}"]
        masquerade = ["-s", SUBNET, "-d", server, *match, str(SERVER_PORT), "-j", "MASQUERADE"]
        host.run(["iptables", "-w", "-t", "nat", "-I", "PREROUTING", *redirect])
        host.run(["iptables", "-w", "-t", "nat", "-I", "POSTROUTING", *masquerade])


def connect_by_hand(host: Host) -> None:
    """One internal network, names in haproxy.cfg, a reload: as an operator would do it in a quiet hour."""
    host.run(["docker", "network", "create", "--internal", NETWORK])
    for container in ("dev1-haproxy-1", *(f"dev1-api-{number}" for number in (1, 2, 3))):
        host.run(["docker", "network", "connect", NETWORK, container])
    config = host.read_file(CONFIG).decode()
    for number in (1, 2, 3):
        config = config.replace(
            f"{GATEWAY}:{PORT + number - 1} check",
            f"dev1-api-{number}:{SERVER_PORT} check resolvers docker init-addr last,libc,none",
        )
    # Over the same inode: the file is bind-mounted.
    host.write_file(CONFIG, f"{config}\nresolvers docker\n    nameserver dns 127.0.0.11:53\n")
    host.run(["docker", "kill", "-s", "USR2", "dev1-haproxy-1"])


WAYS = (
    Way("docker-proxy, before", leave_untouched),
    Way(
        "remedy: userland_proxy false",
        applied("remedies: {userland_proxy: false}"),
        by_hand="by hand: userland-proxy false",
    ),
    Way("by hand: userland-proxy false", switch_off_by_hand),
    Way(
        "remedy: hairpin",
        applied("remedies: {hairpin: true}\naccept_pinned: true"),
        by_hand="by hand: DNAT, masquerade",
    ),
    Way("by hand: DNAT, masquerade", redirect_by_hand),
    Way(
        "remedy: user_network",
        applied("remedies: {user_network: remedy-lb}"),
        by_hand="by hand: one network, by name",
        is_direct=True,
    ),
    Way("by hand: one network, by name", connect_by_hand, is_direct=True),
)


@contextmanager
def prepared_hosts(prefix: str, engine: str, firewall: str, ways: Sequence[Way] = WAYS) -> Iterator[dict[str, Host]]:
    """A host for each way, by the way's name, for the length of a `with` block. Raises LabError, CommandError."""
    with ExitStack() as stack:
        hosts = {}
        for number, way in enumerate(ways):
            host = stack.enter_context(lab_up(f"{prefix}-{number}", engine=engine, firewall=firewall))
            way.prepare(host)
            hosts[way.name] = host
        yield hosts


def backend_target(host: Host, way: Way) -> Target:
    """haproxy's container asks a backend by the gateway's address and the published port, or directly."""
    server = f"{_address_of(host, SERVER)}:{SERVER_PORT}" if way.is_direct else f"{GATEWAY}:{PORT}"
    return Target(container_netns(host, BALANCER), f"http://{server}/1k")


def haproxy_target(host: Host) -> Target:
    """Another machine asks haproxy, which asks the backends as it is configured."""
    return Target(str(host.external.netns_path), f"http://{host.address}:8080/1k")


def _address_of(host: Host, container: str) -> str:
    shown = ["docker", "inspect", "-f", "{{.NetworkSettings.IPAddress}}", container]
    return host.run(shown).stdout.strip()
