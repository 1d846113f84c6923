"""A small world of network namespaces for the firewall's tests: a host with bridges, containers, and an outside.

No Docker: the rules that an engine would have are a few iptables lines, its docker-proxy is a server of this process
that answers "host". Connections are real.

    outside 10.98.77.2 --- eth0 10.98.77.1 [host] docker0 172.17.0.1 --- c1 .2, c2 .3
                                                  br-other 172.18.0.1 --- c3 .2
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from remedy.firewall.ruleset import Redirect, Ruleset

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_numbers = itertools.count(1)

PORT, TARGET_PORT = 5001, 8080
GATEWAY, OTHER_GATEWAY, LAN, OUTSIDE = "172.17.0.1", "172.18.0.1", "10.98.77.1", "10.98.77.2"
GATEWAY6, LAN6 = "fd00:1::1", "fd98:77::1"

# What an engine up to 28 writes for `-p 5001:8080`, the proxy on.
ENGINE = f"""*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER -i br-other -j RETURN
COMMIT
*filter
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
:DOCKER-FORWARD - [0:0]
-A FORWARD -s 192.0.2.1/32 -j DROP
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER-USER -s 192.0.2.2/32 -j DROP
-A DOCKER-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -o docker0 -j DOCKER
-A DOCKER-FORWARD -i docker0 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport {TARGET_PORT} -j ACCEPT
COMMIT
"""

ENGINE6 = """*filter
:DOCKER-USER - [0:0]
-A FORWARD -s 2001:db8::1/128 -j DROP
-A FORWARD -j DOCKER-USER
COMMIT
"""


@dataclass(frozen=True)
class Answer:
    """Who answered a connection, and the source address it saw."""

    by: str
    source: str


class Space:
    """One network namespace; what is called in it runs in a thread that lives there."""

    def __init__(self, name: str) -> None:
        self.name = name
        subprocess.run(["ip", "netns", "add", name], check=True)
        self._thread = ThreadPoolExecutor(1, initializer=_enter, initargs=(f"/run/netns/{name}",))
        # Addresses are usable at once.
        self.run("sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0")

    def call(self, function: Callable[[], T]) -> T:
        """Run a function here."""
        return self._thread.submit(function).result(timeout=120)

    def run(self, command: str, *, stdin: str | None = None, check: bool = True) -> str:
        """Run a shell command here and return its output."""
        done = self.call(
            lambda: subprocess.run(["sh", "-c", command], input=stdin, capture_output=True, text=True, check=False)
        )
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.stderr}")
        return done.stdout

    def serve(self, by: str, port: int, address: str = "::", kind: int = socket.SOCK_STREAM) -> socket.socket:
        """Answer every connection to a port with one line: who answers, and the source that is seen.

        End it with `close_server`.
        """
        family = socket.AF_INET6 if ":" in address else socket.AF_INET

        def listen() -> socket.socket:
            server = socket.socket(family, kind)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((address, port))
            if kind == socket.SOCK_STREAM:
                server.listen(64)
            return server

        server = self.call(listen)
        answer = _answer_streams if kind == socket.SOCK_STREAM else _answer_datagrams
        threading.Thread(target=answer, args=(server, by), daemon=True).start()
        return server

    def connect(
        self, address: str, port: int = PORT, *, timeout: float = 0.7, kind: int = socket.SOCK_STREAM
    ) -> Answer | None:
        """Connect from here; None when nobody answers in time or the connection is refused."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET

        def ask() -> Answer | None:
            with socket.socket(family, kind) as client:
                client.settimeout(timeout)
                try:
                    client.connect((address, port))
                    client.send(b"?")
                    by, source = client.recv(200).decode().split()
                except OSError:
                    return None
                return Answer(by, source)

        return self.call(ask)

    def close(self) -> None:
        """Delete the namespace."""
        self._thread.shutdown(wait=True)
        subprocess.run(["ip", "netns", "delete", self.name], check=False)


@dataclass
class World:
    """The namespaces. stop ends the servers."""

    host: Space
    c1: Space
    c2: Space
    c3: Space
    outside: Space
    servers: list[socket.socket]

    def engine_writes(self, variant: str) -> None:
        """The engine's rules, in the given variant of iptables."""
        self.host.run(f"iptables-{variant}-restore --noflush", stdin=ENGINE)
        self.host.run(f"ip6tables-{variant}-restore --noflush", stdin=ENGINE6)

    def rules(self) -> str:
        """Everything there is, without counters, dates and handles."""
        text = self.host.run(
            "for t in iptables ip6tables; do for v in legacy nft; do $t-$v-save; done; done; nft -s list ruleset"
        )
        # Legacy tables that were touched once stay, with their three or five empty chains.
        lines = [line for line in text.split("\n") if not line.startswith(("#", "*", ":", "COMMIT"))]
        return "\n".join(lines)


def redirect(**changes: object) -> Redirect:
    """A redirect of port 5001 to c1, from nowhere unless a flag says so."""
    values = {
        "protocol": "tcp",
        "address": None,
        "port": PORT,
        "to_address": "172.17.0.2",
        "to_port": TARGET_PORT,
        "bridge": "docker0",
        "subnet": "172.17.0.0/16",
        "container": "c1",
        "from_own_bridge": False,
    }
    return Redirect.model_validate({**values, **changes})


def ruleset(*redirects: Redirect, guard: bool = False, forward: bool = False) -> Ruleset:
    """A ruleset for this world's bridges."""
    return Ruleset(
        name="bridging",
        redirects=redirects,
        engine_bridges=("docker0", "br-other"),
        guard_localnet=("docker0",) if guard else (),
        forward_guard=forward,
    )


@contextlib.contextmanager
def world() -> Iterator[World]:
    """Build it, and leave nothing behind."""
    prefix = f"rfw{os.getpid()}-{next(_numbers)}"
    with contextlib.ExitStack() as cleanup:
        made = []
        for name in ("host", "c1", "c2", "c3", "outside"):
            made.append(Space(f"{prefix}-{name}"))
            cleanup.callback(made[-1].close)
        built = World(*made, servers=[])
        cleanup.callback(lambda: [close_server(server) for server in built.servers])
        _build(built)
        yield built


def _build(built: World) -> None:
    host = built.host
    host.run("ip link set lo up; sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
    for bridge, address in (("docker0", GATEWAY), ("br-other", OTHER_GATEWAY)):
        host.run(f"ip link add {bridge} type bridge; ip addr add {address}/16 dev {bridge}; ip link set {bridge} up")
    host.run(f"ip -6 addr add {GATEWAY6}/64 dev docker0 nodad")
    _plug(host, built.c1, "docker0", "172.17.0.2/16", GATEWAY, ("fd00:1::2/64", GATEWAY6))
    _plug(host, built.c2, "docker0", "172.17.0.3/16", GATEWAY, ("fd00:1::3/64", GATEWAY6))
    _plug(host, built.c3, "br-other", "172.18.0.2/16", OTHER_GATEWAY)
    _plug(host, built.outside, None, f"{OUTSIDE}/24", None, ("fd98:77::2/64", None))
    host.run(f"ip addr add {LAN}/24 dev v-outside; ip -6 addr add {LAN6}/64 dev v-outside nodad")
    built.outside.run(f"ip -6 route add fd00:1::/64 via {LAN6}")
    for space, by in ((built.c1, "c1"), (built.c2, "c2")):
        built.servers.append(space.serve(by, TARGET_PORT))
    for address in ("0.0.0.0", "::1"):
        built.servers.append(host.serve("host", PORT, address))
    assert wait_until(lambda: built.outside.connect("fd00:1::2", TARGET_PORT) is not None), "IPv6 does not work"


def _plug(
    host: Space,
    space: Space,
    bridge: str | None,
    address: str,
    gateway: str | None,
    v6: tuple[str, str | None] | None = None,
) -> None:
    end = "v-" + space.name.rpartition("-")[2]
    host.run(f"ip link add {end} type veth peer name eth0 netns {space.name} && ip link set {end} up")
    if bridge:
        host.run(f"ip link set {end} master {bridge}; ip link set {end} type bridge_slave hairpin on")
    space.run(f"ip link set lo up; ip link set eth0 up; ip addr add {address} dev eth0")
    if gateway:
        space.run(f"ip route add default via {gateway}")
    if v6:
        space.run(f"ip -6 addr add {v6[0]} dev eth0 nodad")
        if v6[1]:
            space.run(f"ip -6 route add default via {v6[1]}")


def _enter(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(descriptor)


def _answer_streams(server: socket.socket, by: str) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, peer = server.accept()
            with client, contextlib.suppress(OSError):
                client.settimeout(1)
                client.recv(1)
                client.send(f"{by} {peer[0].removeprefix('::ffff:')}".encode())


def _answer_datagrams(server: socket.socket, by: str) -> None:
    with contextlib.suppress(OSError):
        while True:
            _, peer = server.recvfrom(100)
            if peer is None:  # shut down
                return
            server.sendto(f"{by} {peer[0].removeprefix('::ffff:')}".encode(), peer)


def close_server(server: socket.socket) -> None:
    """End a server and free its port."""
    # A thread blocked in accept keeps the socket, and with it the namespace: shutdown wakes it.
    with contextlib.suppress(OSError):
        server.shutdown(socket.SHUT_RDWR)
    server.close()


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether the condition became true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
