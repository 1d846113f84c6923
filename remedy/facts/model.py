"""HostFacts: everything that remedy knows of a host, read once, immutable, serialisable.

Collectors (remedy.facts.*) fill it and never write to the host; a facts file saved on one host can be
planned on another. Addresses are `ipaddress` objects, times are UTC, sizes are bytes.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Literal

from pydantic import Field

from remedy.frozen import FrozenWhenUsed as Frozen

FORMAT_VERSION = 1

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Subnet = IPv4Network | IPv6Network


class Protocol(StrEnum):
    """Transport protocols that Docker publishes."""

    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"


class FirewallBackend(StrEnum):
    """How the engine writes its rules on this host, and so how remedy writes its own."""

    IPTABLES_LEGACY = "iptables-legacy"
    IPTABLES_NFT = "iptables-nft"
    NFTABLES = "nftables"  # engine 29's own nftables tables


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


class PortBinding(Frozen):
    """One published port: host_address:host_port -> the container's port.

    host_address 0.0.0.0 and :: mean every address of that family.
    """

    protocol: Protocol
    container_port: int
    host_address: Address
    host_port: int


class Endpoint(Frozen):
    """A container's place on one network.

    aliases are those that somebody gave it, dns_names all that the engine answers to (empty before 25).
    """

    network_id: str
    network_name: str
    ipv4: IPv4Interface | None = None
    ipv6: IPv6Interface | None = None
    gateway4: IPv4Address | None = None
    gateway6: IPv6Address | None = None
    mac: str | None = None
    aliases: tuple[str, ...] = ()
    endpoint_id: str = ""
    dns_names: tuple[str, ...] = ()
    gateway_priority: int = 0  # 28 and later


class Mount(Frozen):
    """A mount of a container: kind is bind, volume, tmpfs."""

    kind: str
    source: str
    destination: str
    writable: bool


class Container(Frozen):
    """One container, running or not. name has no leading slash.

    network_mode is Docker's: bridge, host, none, container:ID, or a network's name.
    """

    id: str
    name: str
    image: str
    state: str
    pid: int  # 0 when not running
    started_at: str  # as the engine gives it; compared as text
    restart_policy: str
    network_mode: str
    labels: dict[str, str]
    endpoints: tuple[Endpoint, ...]
    ports: tuple[PortBinding, ...]
    auto_remove: bool = False
    stop_timeout_seconds: int | None = None
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    environment: dict[str, str] = Field(default_factory=dict)
    extra_hosts: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()

    @property
    def is_running(self) -> bool:
        """Whether the container has processes (running or paused)."""
        return self.pid > 0


class Network(Frozen):
    """A Docker network. bridge is the host's interface of a bridge network, else None."""

    id: str
    name: str
    driver: str
    scope: str
    internal: bool
    enable_ipv6: bool
    subnets: tuple[Subnet, ...]
    gateways: tuple[Address, ...]
    bridge: str | None
    options: dict[str, str]
    labels: dict[str, str] = Field(default_factory=dict)


class DockerProxy(Frozen):
    """A docker-proxy process and what it forwards, from its command line.

    cpu_seconds: what it has used since it started, age_seconds ago.
    """

    pid: int
    protocol: Protocol
    host_address: Address
    host_port: int
    container_address: Address
    container_port: int
    resident_bytes: int | None = None
    command_line: tuple[str, ...] = ()
    cpu_seconds: float | None = None
    age_seconds: float | None = None


class ListeningSocket(Frozen):
    """A socket that waits for connections (TCP LISTEN, UDP unconnected) in one namespace.

    container_id: the container whose process holds it, of those that share the namespace; None for a process of
    the host (which is not only found in the host's namespace: the engine's DNS listens inside the containers').
    """

    protocol: Protocol
    address: Address
    port: int
    inode: int
    pid: int | None = None
    program: str | None = None
    v6only: bool | None = None
    container_id: str | None = None


class Connection(Frozen):
    """TCP connections as one end sees them, in one namespace; those that differ only in the client's port are one.

    count says how many; the client's port and the inode are those of the first. An IPv4 peer of an IPv6
    socket is shown as IPv4. TIME-WAIT connections belong to no process any more.
    """

    local_address: Address
    local_port: int
    remote_address: Address
    remote_port: int
    state: str
    inode: int = 0
    pid: int | None = None
    program: str | None = None
    count: int = 1


class InterfaceAddress(Frozen):
    """An address on an interface."""

    interface: str
    address: Interface
    scope: str = "global"


class Link(Frozen):
    """An interface. peer_index is the other end's index of a veth, in namespace peer_namespace if not this one."""

    index: int
    name: str
    kind: str | None = None
    is_up: bool = True
    mac: str | None = None
    mtu: int | None = None
    master: str | None = None
    peer_index: int | None = None
    peer_namespace: int | None = None  # the kernel's local number of it (link-netnsid)


class Route(Frozen):
    """A route as `ip -j route show table all` gives it; destination None is the default route."""

    family: Literal[4, 6]
    table: str
    destination: Subnet | None
    kind: str  # unicast, local, broadcast, blackhole ...
    interface: str | None
    gateway: Address | None
    prefsrc: Address | None
    metric: int | None
    scope: str | None = None
    protocol: str | None = None


class RoutingRule(Frozen):
    """A policy routing rule; attributes that the model does not name stay in `extra`."""

    family: Literal[4, 6]
    priority: int
    source: str
    table: str | None
    extra: dict[str, str] = Field(default_factory=dict)


class OwnTable(Frozen):
    """The conntrack table of a container's own network namespace, and the IPv4 rules there.

    entries: None where the kernel has no connection tracking. rules: without any, nothing is tracked; "engine": those
    of its DNS server, which have everything tracked; "other": there are others. kept_empty: remedy's are there besides.
    """

    entries: int | None
    rules: Literal["none", "engine", "other"]
    kept_empty: bool = False


class NetNamespace(Frozen):
    """One network namespace: the host's (is_host) or that of one or more containers.

    sysctls: of a container's, rp_filter; the host's own are HostFacts.sysctls. own_table: of a container's; None where
    it was not read.
    """

    inode: int
    is_host: bool
    containers: tuple[str, ...]  # container ids that share it
    pid: int | None  # a process in it, through which it can be entered
    links: tuple[Link, ...]
    addresses: tuple[InterfaceAddress, ...]
    routes: tuple[Route, ...]
    rules: tuple[RoutingRule, ...]
    listening: tuple[ListeningSocket, ...]
    connections: tuple[Connection, ...]
    sysctls: dict[str, str] = Field(default_factory=dict)
    own_table: OwnTable | None = None


class BridgePort(Frozen):
    """A port of a Linux bridge. container_id is the container behind the veth, if any."""

    bridge: str
    interface: str
    hairpin_mode: bool
    isolated: bool | None = None
    state: int | None = None
    container_id: str | None = None


class IptablesTables(Frozen):
    """iptables-save text of one family, as the engine's variant prints it, without counters.

    command is the program that read it. Only tables that exist already were read (promise 3): reading
    an absent legacy table would create it.
    """

    family: Literal[4, 6]
    variant: Literal["legacy", "nft"]
    command: str
    text: str


class IpSet(Frozen):
    """A set of the kernel's ip_set, as `ipset save` prints it.

    members: each `add` line's member with its options ("10.0.0.0/8 nomatch"), of a list:set the sets' names.
    """

    name: str
    kind: str  # hash:ip, hash:net,port, list:set ...
    options: str = ""  # "family inet hashsize 1024 maxelem 65536"
    members: tuple[str, ...] = ()


class FirewallFacts(Frozen):
    """The rules of the host. backend is the engine's; the other variant is read too where it has rules.

    nft_tables: names ("ip docker-bridges") of all nft tables; nft_json: `nft -j list table` of those that
    iptables-save does not print (the engine's own, remedy's, and foreign ones), keyed by "family name".
    ipsets: those that the rules in `tables` match against.
    """

    backend: FirewallBackend
    backend_evidence: str
    iptables_version: str | None
    nft_version: str | None
    tables: tuple[IptablesTables, ...]
    nft_tables: tuple[str, ...]
    nft_json: dict[str, list[object]] = Field(default_factory=dict)
    ipsets: tuple[IpSet, ...] = ()
    firewalld_active: bool = False
    ufw_active: bool = False


class ConntrackEntry(Frozen):
    """Tracked flows: the original tuple and the reply's. Those that differ only in the client's port are one.

    count says how many; the client's port is that of the first.
    """

    protocol: str
    source: Address
    source_port: int | None
    destination: Address
    destination_port: int | None
    reply_source: Address
    reply_source_port: int | None
    reply_destination: Address
    reply_destination_port: int | None
    state: str | None
    unreplied: bool = False
    count: int = 1


class ConntrackLosses(Frozen):
    """What the table refused since the namespace was made, all processors together (/proc/net/stat/nf_conntrack).

    drop: new flows dropped because the table was full; early_drop: entries thrown out to make room; insert_failed:
    packets dropped because their entry could not be added, mostly two clients that were given the same port.
    """

    drop: int
    early_drop: int
    insert_failed: int


class SettingLine(Frozen):
    """A line of somebody's sysctl.d file that sets a sysctl at boot."""

    name: str
    value: str
    path: str
    line: int


class KeptFile(Frozen):
    """A file of remedy's own, as it lies there now. raw None: there is none."""

    path: str
    raw: bytes | None
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


class ConntrackSizing(Frozen):
    """What the size of the conntrack table rests on.

    writable: the settings that root may change from this network namespace; nf_conntrack_max and the buckets are the
    machine's, and read-only in every namespace but its own. bytes_per_entry: from /proc/slabinfo, None where only root
    may read it. bucket_step: the kernel rounds the buckets up to a multiple of it. set_by: lines of other files, in the
    order in which they count at boot. own_files: what remedy keeps its values in.
    """

    writable: tuple[str, ...]
    bytes_per_entry: int | None
    bucket_step: int
    memory_bytes: int | None
    set_by: tuple[SettingLine, ...] = ()
    own_files: tuple[KeptFile, ...] = ()


class ConntrackFacts(Frozen):
    """The conntrack table: how full it is, and the entries that involve a published port.

    time_wait: entries of TCP connections that have ended, in the whole table; each stays for the time_wait timeout.
    sizing None: not read (facts of an older remedy, or of another host).
    """

    count: int | None
    maximum: int | None
    buckets: int | None
    entries: tuple[ConntrackEntry, ...]
    entries_complete: bool  # False where there were more than the reader keeps
    losses: ConntrackLosses | None = None
    time_wait: int | None = None
    sizing: ConntrackSizing | None = None


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


class FileState(Frozen):
    """A file as it lies there; raw None: there is none. problem: why it must not be written over."""

    path: str
    raw: bytes | None = None
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    problem: str | None = None


class ComposeProject(Frozen):
    """A compose project by its containers' labels, and the file in which remedy may add to it.

    files: those that compose was started with. is_read_by_compose: an override file in that place is read without
    being told. uid, gid, mode: of the project's first file. problem: why nothing can be written there.
    default_network: the name that the files give the project's default network, where they give it one.
    """

    name: str
    working_directory: str
    files: tuple[str, ...]
    compose_installed: bool
    override: FileState | None = None
    is_read_by_compose: bool = False
    default_network: str | None = None
    uid: int = 0
    gid: int = 0
    mode: int = 0o644
    problem: str | None = None


class ObservedConsumer(Frozen):
    """Somebody whom `remedy doctor --observe` saw using a published port.

    client: a container's name, `host` or `external`; address: the last one that it came from; count: connections seen.
    """

    client: str
    address: Address | None
    to_address: Address
    to_port: int
    protocol: Protocol
    first_seen: datetime
    last_seen: datetime
    count: int


class Watch(Frozen):
    """A time during which the published ports were watched. is_complete: no event was lost."""

    begun: datetime
    ended: datetime
    boot_id: str
    is_complete: bool = True

    @property
    def seconds(self) -> float:
        """How long it was."""
        return max((self.ended - self.begun).total_seconds(), 0.0)


class Observed(Frozen):
    """What was seen of this host's published ports while somebody watched, and when that was.

    forgotten_seconds: of watches that are too many to be listed one by one.
    """

    watches: tuple[Watch, ...] = ()
    consumers: tuple[ObservedConsumer, ...] = ()
    forgotten_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """How long was watched altogether."""
        return self.forgotten_seconds + sum(watch.seconds for watch in self.watches)


class Unread(Frozen):
    """An item that could not be read, and why. A plan that needs it refuses."""

    item: str
    reason: str


class HostFacts(Frozen):
    """The observed state of one host at one moment."""

    format_version: Literal[1] = 1
    remedy_version: str
    gathered_at: datetime
    gather_seconds: float
    host: HostIdentity
    engine: EngineFacts
    daemon_json: DaemonJson
    systemd: SystemdFacts
    containers: tuple[Container, ...]
    networks: tuple[Network, ...]
    docker_proxies: tuple[DockerProxy, ...]
    namespaces: tuple[NetNamespace, ...]  # the host's first
    bridge_ports: tuple[BridgePort, ...]
    firewall: FirewallFacts
    sysctls: dict[str, str]  # "net.ipv4.conf.docker0.route_localnet": "0", named as by host.sysctls.conf_name
    conntrack: ConntrackFacts
    haproxies: tuple[HaproxyFacts, ...]
    unread: tuple[Unread, ...] = ()
    observed: Observed | None = None  # None: nobody has watched
    compose_projects: tuple[ComposeProject, ...] = ()
