"""haproxies, with their configuration."""

from __future__ import annotations

from typing import Literal

from remedy.facts.model.values import Address
from remedy.frozen import FrozenWhenUsed as Frozen


class HaproxyServer(Frozen):
    """A `server` line: where haproxy connects to. file:line is where it stands.

    A `server-template PREFIX 1-3` is one server named "PREFIX[1-3]". port None: the port is the client's.
    addresses: what /etc/hosts, as haproxy sees it, says of a host that is a name (host.docker.internal).
    """

    proxy: str  # the backend or listen section's name
    name: str
    host: str
    port: int | None
    file: str
    line: int
    check_port: int | None = None
    addresses: tuple[Address, ...] = ()


class HaproxyFile(Frozen):
    """A file of haproxy's configuration, as haproxy sees it and as it lies on the host.

    path: as haproxy sees it; device, inode, mode, uid, gid: of that file. host_path: where the same file lies on the
    host (a bind mount's or a volume's source), None when it is in the container's own layers. host_device and
    host_inode differ from device and inode after an editor has replaced the file on the host: haproxy still sees
    the old one; None: there is nothing any more. is_read_only: the mount, for the container.
    """

    path: str
    raw: bytes
    device: int
    inode: int
    mode: int
    uid: int
    gid: int
    host_path: str | None = None
    host_device: int | None = None
    host_inode: int | None = None
    is_read_only: bool = False


class HaproxySocket(Frozen):
    """A socket of the runtime API (`stats socket`): a path as haproxy sees it, or ADDRESS:PORT."""

    address: str
    level: Literal["user", "operator", "admin"] = "operator"


class HaproxyFacts(Frozen):
    """One haproxy and its servers. container_id is None for a service of the host.

    pid is the master's, through whose root the configuration was read. program, arguments, working_directory: how it
    was started. is_master_worker: it can be reloaded; master_socket: -S. hard_stop_after: as configured. version: as
    its executable says ("3.0.11-1+deb13u4"), None where that says none.
    """

    container_id: str | None
    unit: str | None
    config_files: tuple[str, ...]  # as seen by haproxy
    servers: tuple[HaproxyServer, ...]
    problem: str | None = None
    pid: int | None = None
    files: tuple[HaproxyFile, ...] = ()
    program: str | None = None
    arguments: tuple[str, ...] = ()
    working_directory: str = "/"
    is_master_worker: bool = False
    master_socket: str | None = None
    sockets: tuple[HaproxySocket, ...] = ()
    hard_stop_after: str | None = None
    version: str | None = None
