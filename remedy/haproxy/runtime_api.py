"""haproxy's sockets: the runtime API (`stats socket`) and the master's own, one question at a time.

The answer comes from whoever listens there, which in a container may be anybody: it is limited in size and time, and
only compared with what haproxy says.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from remedy.errors import HaproxyError
from remedy.facts.container_files import opened_below, root_of
from remedy.facts.model import Address
from remedy.haproxy.running import RunningHaproxy
from remedy.host.namespaces import run_in_network_namespace

ANSWER_SECONDS = 10.0
MAXIMUM_ANSWER = 8 << 20
# What haproxy itself allows in the names of proxies and servers. Anything else could end the command and begin another.
_NAME = re.compile(r"[A-Za-z0-9_.:-]+")
_CHANGED = re.compile(r"(?:changed from|no need to change)")


@dataclass(frozen=True, slots=True)
class ServerState:
    """A server as haproxy uses it now. address None: not known yet (a name that does not resolve)."""

    address: Address | None
    port: int
    check_port: int  # 0: that of the server


@dataclass(frozen=True, slots=True)
class HaproxySocketAt:
    """A socket of a running haproxy: a path below its root, or ADDRESS:PORT in its network namespace."""

    running: RunningHaproxy
    address: str

    def ask(self, command: str, *, seconds: float = ANSWER_SECONDS) -> str:
        """Send one command and return the answer. Raises HaproxyError."""
        if "\n" in command or ";" in command:
            raise HaproxyError("refusing to send a command with a line break or semicolon in it", where=self.address)
        try:
            with self._connected() as channel:
                channel.settimeout(seconds)
                channel.sendall(command.encode() + b"\n")
                return _read_all(channel).decode(errors="replace").strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise HaproxyError("haproxy's socket does not answer", where=self.address, why=reason) from error

    def _connected(self) -> socket.socket:
        if self.address.startswith("/"):
            return self._connected_by_path()
        host, port = _host_and_port(self.address)
        return run_in_network_namespace(
            self.running.pid, lambda: socket.create_connection((host, port), timeout=ANSWER_SECONDS)
        )

    def _connected_by_path(self) -> socket.socket:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            channel.settimeout(ANSWER_SECONDS)
            with root_of(self.running.root_pid) as root, opened_below(root, self.address) as (found, _):
                channel.connect(f"/proc/self/fd/{found}")
        except BaseException:
            channel.close()
            raise
        return channel


@dataclass(frozen=True, slots=True)
class RuntimeApi:
    """Reads and changes where servers are, until the next reload."""

    socket: HaproxySocketAt

    def servers(self) -> dict[tuple[str, str], ServerState]:
        """Every server by its proxy's and its own name. Raises HaproxyError."""
        answer = self.socket.ask("show servers state")
        try:
            return parse_servers_state(answer)
        except (ValueError, KeyError) as error:
            raise HaproxyError(
                "haproxy does not list its servers", where=self.socket.address, why=answer[:200]
            ) from error

    def move(self, proxy: str, server: str, to: ServerState) -> None:
        """Lead a server to another address and port. Raises HaproxyError."""
        name = server_name(proxy, server)
        self._set(f"set server {name} addr {to.address} port {to.port}", expected=_CHANGED)
        if to.check_port:
            self._set(f"set server {name} check-port {to.check_port}", expected=None)

    def _set(self, command: str, *, expected: re.Pattern[str] | None) -> None:
        answer = self.socket.ask(command)
        if (answer and expected is None) or (expected is not None and not expected.search(answer)):
            raise HaproxyError(f"haproxy refuses: {command}", where=self.socket.address, why=answer[:200] or None)


def server_name(proxy: str, server: str) -> str:
    """PROXY/SERVER as a command has it. Raises HaproxyError for what could break the line."""
    for name in (proxy, server):
        if _NAME.fullmatch(name) is None:
            raise HaproxyError(f"{name!r} is no name that the runtime API takes", where=f"{proxy}/{server}")
    return f"{proxy}/{server}"


def parse_servers_state(text: str) -> dict[tuple[str, str], ServerState]:
    """Read the answer to `show servers state`, version 1: a line with the fields' names, then a line each."""
    lines = text.splitlines()
    if len(lines) < 2 or lines[0].strip() != "1" or not lines[1].startswith("# "):
        raise ValueError("not version 1 of the servers' state")
    fields = lines[1][2:].split()
    rows = (dict(zip(fields, line.split(), strict=False)) for line in lines[2:] if line.strip())
    return {(row["be_name"], row["srv_name"]): _state(row) for row in rows}


def _state(row: Mapping[str, str]) -> ServerState:
    try:
        address = ip_address(row["srv_addr"])
    except ValueError:
        address = None
    return ServerState(address, _number(row.get("srv_port")), _number(row.get("srv_check_port")))


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() else 0


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        raise ValueError("neither a path nor ADDRESS:PORT")
    host = host.strip("[]")
    # Bound to every address: the loopback's is one of them.
    anywhere = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
    return anywhere.get(host, host), int(port)


def _read_all(channel: socket.socket) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := channel.recv(1 << 16):
        parts.append(part)
        size += len(part)
        if size > MAXIMUM_ANSWER:
            raise ValueError(f"the answer is longer than {MAXIMUM_ANSWER} bytes")
    return b"".join(parts)
