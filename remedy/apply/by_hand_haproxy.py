"""The commands that lead haproxy back by hand: the old bytes into the same file, and haproxy told to load them."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator, Mapping

from remedy.plan.actions import RewireHaproxy

# Below the container's root, because its /var/run may be a link that leads to the host's from outside.
_ASK = (
    "import os, socket, sys; "
    "s = socket.socket(socket.AF_UNIX); os.chroot(sys.argv[1]); s.connect(sys.argv[2]); "
    's.sendall(sys.argv[3].encode() + b"\\n"); print(s.recv(4096).decode())'
)
_ASK_TCP = (
    "import socket, sys; "
    's = socket.create_connection((sys.argv[1], int(sys.argv[2]))); s.sendall(sys.argv[3].encode() + b"\\n"); '
    "print(s.recv(4096).decode())"
)


def haproxy_by_hand(action: RewireHaproxy, undo: Mapping[str, object]) -> Iterator[str]:
    """Shell commands, one a line, that undo the action."""
    for file in action.files:
        # A redirection keeps the inode, which a single-file bind mount follows.
        encoded = base64.b64encode(file.original.raw or b"").decode()
        yield f"echo {encoded} | base64 -d > {shlex.quote(file.original.path)}"
    if action.how == "runtime":
        yield from _by_socket(action, undo)
    elif action.container is None:
        yield f"systemctl {action.how} {shlex.quote(action.unit or 'haproxy.service')}"
    elif action.how == "restart":
        yield f"docker restart {shlex.quote(action.container)}"
    else:
        # The oldest haproxy of the container is the master, whether or not it is the container's first process.
        yield f"pkill -USR2 -o -x haproxy --ns {_pid(action.container)} --nslist pid"


def _by_socket(action: RewireHaproxy, undo: Mapping[str, object]) -> Iterator[str]:
    servers, socket = undo.get("servers"), action.runtime_socket
    if not isinstance(servers, dict) or socket is None:
        return
    pid = "1" if action.container is None else _pid(action.container)
    for name, (address, port, _) in servers.items():
        command = shlex.quote(f"set server {name} addr {address} port {port}")
        if socket.startswith("/"):
            yield f"python3 -c {shlex.quote(_ASK)} /proc/{pid}/root {shlex.quote(socket)} {command}"
        else:
            host, _, number = socket.rpartition(":")
            place = f"{shlex.quote(host.strip('[]') or '127.0.0.1')} {shlex.quote(number)}"
            yield f"nsenter -t {pid} -n python3 -c {shlex.quote(_ASK_TCP)} {place} {command}"


def _pid(container: str) -> str:
    return f"$(docker inspect -f '{{{{.State.Pid}}}}' {shlex.quote(container)})"
