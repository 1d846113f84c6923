"""The machine outside: a network namespace of its own, with cables to one lab host and nobody else.

The lab's own external machine is shared by all hosts; routes to one host's containers would be in others' way.
"""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from types import TracebackType
from typing import Self

from remedy.errors import LabError
from remedy.host.commands import run_command
from remedy.host.namespaces import network_namespace_inode
from remedy.lab import Host
from remedy.truth.services import service_command

# Documentation's addresses (RFC 5737), and a unique local prefix.
HOST_ADDRESS, HOST_SECOND = IPv4Address("203.0.113.10"), IPv4Address("203.0.113.20")
HOST_OTHER = IPv4Address("198.51.100.10")  # on the second cable
ON_WIRE = IPv4Network("203.0.113.0/24")
OTHER_CABLE = IPv4Network("198.51.100.0/24")
HOST_ADDRESS6 = IPv6Address("fd77::10")
CLIENT, CLIENT_OTHER = IPv4Address("203.0.113.254"), IPv4Address("203.0.113.66")
CLIENT_ASKEW = IPv4Address("198.51.100.254")  # sends by the first cable, is answered by the second
CLIENT6 = IPv6Address("fd77::254")
PORT = 9000
_CONTAINERS = ("172.16.0.0/12", "192.168.64.0/18")
_CONTAINERS6 = "fd00::/16"


class Outside:
    """Machine and cables; all goes with the process that holds the namespace."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._holder = _hold()
        self.pid = self._holder.pid
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._plug_in()
            self._server = serve(self._command(service_command("outside", _sockets())))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End server and machine; the cables go with it."""
        for process in (self._server, self._holder):
            if process is not None:
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGKILL)
                process.wait()

    def _command(self, arguments: list[str]) -> list[str]:
        return ["nsenter", f"--target={self.pid}", "--net", "--", "setpriv", "--pdeathsig", "KILL", "--", *arguments]

    def _run(self, *lines: str) -> None:
        for line in lines:
            run_command(self._command(line.split()))

    def _plug_in(self) -> None:
        network = self._host.netns_path
        self._run(
            "ip link set lo up",
            f"ip link add eth1 type veth peer name eth1 netns {network}",
            f"ip link add eth2 type veth peer name eth2 netns {network}",
            "ip link set eth1 up",
            "ip link set eth2 up",
            f"ip address add {CLIENT}/24 dev eth1",
            f"ip address add {CLIENT_OTHER}/24 dev eth1",
            f"ip address add {CLIENT6}/64 dev eth1 nodad",
            f"ip address add {CLIENT_ASKEW}/24 dev eth2",
        )
        ours = ["ip link set eth1 up", "ip link set eth2 up"]
        ours += [f"ip address add {address}/24 dev eth1" for address in (HOST_ADDRESS, HOST_SECOND)]
        ours += [f"ip address add {HOST_ADDRESS6}/64 dev eth1 nodad", f"ip address add {HOST_OTHER}/24 dev eth2"]
        self._host.run(["sh", "-ec", "\n".join(ours)])
        self._run(*(f"ip route add {subnet} via {HOST_ADDRESS}" for subnet in _CONTAINERS))
        self._run(f"ip -6 route add {_CONTAINERS6} via {HOST_ADDRESS6}")


def serve(command: list[str]) -> subprocess.Popen[bytes]:
    """Start a server and wait until it is ready. Raises LabError when it is not."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if process.stdout is not None and process.stdout.readline() == b"ready\n":
        return process
    process.kill()
    _, said = process.communicate()
    raise LabError("a server of the truth does not start", why=said.decode(errors="replace")[-500:])


def _sockets() -> list[str]:
    return [f"{protocol},{address},{PORT}" for protocol in ("tcp", "udp") for address in (CLIENT, CLIENT6)]


def _hold() -> subprocess.Popen[bytes]:
    arguments = ["unshare", "--net", "--", "setpriv", "--pdeathsig", "KILL", "--", "sleep", "infinity"]
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + 5
    while network_namespace_inode(process.pid) == network_namespace_inode():
        if time.monotonic() > deadline:
            process.kill()
            raise LabError("the machine outside does not start")
        time.sleep(0.005)
    return process
