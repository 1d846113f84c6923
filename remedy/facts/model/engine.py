"""The machine, its engine, and what both are configured with."""

from __future__ import annotations

from datetime import datetime

from remedy.frozen import FrozenWhenUsed as Frozen


class HostIdentity(Frozen):
    """Which machine this is; machine_id and boot_id as in /etc/machine-id and /proc."""

    hostname: str
    machine_id: str
    boot_id: str
    kernel: str


class EngineFacts(Frozen):
    """The running dockerd.

    userland_proxy is the *effective* setting (None: could not be told), which daemon.json does not prove.
    command_line is dockerd's argument vector; flags of interest are read from it by the planner.
    live_restore is the effective one, of `docker info`.
    started_at is the process's start, to compare with daemon.json's time of change.
    """

    version: str
    version_tuple: tuple[int, int]
    pid: int | None
    command_line: tuple[str, ...]
    environment: dict[str, str]  # only what bears on networking: PATH, DOCKER_*, names only of known keys
    started_at: datetime | None
    live_restore: bool
    userland_proxy: bool | None
    userland_proxy_evidence: str
    swarm: bool
    rootless: bool
    iptables: bool  # false only where daemon.json or a flag says so
    ip6tables: bool | None
    experimental: bool
    socket: str  # the endpoint that was asked, unix:///var/run/docker.sock
    security_options: tuple[str, ...]
    cgroup_driver: str | None = None


class DaemonJson(Frozen):
    """daemon.json as it lies on disk. raw is None when the file does not exist.

    problem names why it cannot be used (not JSON, not an object, duplicate key, symlink ...), with
    line:column where there is one. effective "configured" values are in `parsed`.
    has_bom: the file begins with a byte order mark (taken by engine 23.0 and later, refused before).
    is_the_engines: it is the file that the running engine reads (False: another was asked for).
    """

    path: str
    exists: bool
    is_the_engines: bool = True
    raw: bytes | None = None
    mode: int | None = None  # permission bits
    uid: int | None = None
    gid: int | None = None
    inode: int | None = None
    mtime: datetime | None = None
    is_symlink: bool = False
    symlink_target: str | None = None
    has_bom: bool = False
    parsed: dict[str, object] | None = None
    problem: str | None = None


class SystemdFacts(Frozen):
    """What systemd says of docker.service; None fields where systemd is not the init."""

    available: bool
    unit: str | None = None  # docker.service
    active_state: str | None = None
    sub_state: str | None = None
    result: str | None = None
    n_restarts: int | None = None
    start_limit_burst: int | None = None
    start_limit_interval_seconds: float | None = None
    main_pid: int | None = None
    watcher: str | None = None  # state of remedy-watch.service: active, failed ...; None where it is not installed
