"""What a plan may do, as data: each kind of action with all that its doing and its undoing need.

So a journal of actions is enough to undo a run. Which class carries out which kind is known to remedy.actions.registry.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from remedy.facts.model import Address, Subnet
from remedy.firewall.ruleset import Ruleset, UntrackedPair
from remedy.frozen import Frozen


class Disruption(Frozen):
    """What an action interrupts. seconds is what was measured in the lab (None: nothing to measure).

    none: nobody notices; reload: a reload without loss; connections: connections are cut;
    restart: the engine restarts (containers: those that stop, empty when they live on).
    """

    level: Literal["none", "reload", "connections", "restart"] = "none"
    containers: tuple[str, ...] = ()
    what: str = ""
    seconds: float | None = None


class ActionBase(Frozen):
    """Shared by all actions. id is unique in the plan; before/after are for people."""

    id: str
    summary: str
    reason: str
    before: str
    after: str
    inverse: str
    disruption: Disruption = Disruption()


class SetSysctls(ActionBase):
    """Write sysctls. values and previous: name -> text, `net.ipv4.conf.docker0.route_localnet` -> "1"."""

    kind: Literal["sysctl"] = "sysctl"
    values: dict[str, str]
    previous: dict[str, str]


class HairpinPort(Frozen):
    """A bridge port whose hairpin_mode changes."""

    bridge: str
    interface: str
    container: str
    container_id: str
    previous: bool


class SetHairpinMode(ActionBase):
    """Switch hairpin_mode on for bridge ports of running containers.

    bridges: the engine's bridges that this concerns. On undo, ports that appeared since get the mode that the
    engine gives a port while the userland proxy is on (off).
    """

    kind: Literal["hairpin_mode"] = "hairpin_mode"
    ports: tuple[HairpinPort, ...]
    bridges: tuple[str, ...]
    userland_proxy_after_undo: bool


class WriteRules(ActionBase):
    """Write a ruleset in one transaction; undone by removing it (or writing `previous` again).

    Untracked pairs are written with the addresses that their containers have then: a network that an earlier action
    of the same plan makes or joins gives them out only when it does.
    """

    kind: Literal["write_rules"] = "write_rules"
    ruleset: Ruleset
    firewall_backend: str
    previous: Ruleset | None = None


class RemoveRules(ActionBase):
    """Remove a ruleset; undone by writing it again."""

    kind: Literal["remove_rules"] = "remove_rules"
    ruleset: Ruleset
    firewall_backend: str


class ForgetFlows(ActionBase):
    """Delete the conntrack entries of flows that are not tracked any more. There is nothing to undo.

    An entry is the kernel's own note: a connection that is tracked again gets a new one.
    """

    kind: Literal["forget_flows"] = "forget_flows"
    pairs: tuple[UntrackedPair, ...]


class InsideMember(Frozen):
    """A running container whose own network namespace is meant."""

    container: str
    container_id: str


class UntrackInside(ActionBase):
    """Write remedy's rules into these containers' own namespaces, or remove them (untracked False).

    Undone by the other of the two. Undoing leaves who had them before as they are. A container that ends takes its
    rules with it.
    """

    kind: Literal["untrack_inside"] = "untrack_inside"
    members: tuple[InsideMember, ...]
    firewall_backend: str
    untracked: bool = True


class FileContent(Frozen):
    """A file's bytes with its mode and owner; raw None: there is no such file."""

    path: str
    raw: bytes | None
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


class SizeConntrack(ActionBase):
    """Set how many connections the kernel can track, and for how long.

    values and previous: setting -> text, in the order in which they are written: sysctls, and `nf_conntrack.hashsize`
    (a module parameter) where the kernel takes the buckets no other way. files: what sets them again at boot;
    original_files: what lies at the same paths now. arithmetic: how the values come about, a line each.
    """

    kind: Literal["conntrack"] = "conntrack"
    values: dict[str, str]
    previous: dict[str, str]
    files: tuple[FileContent, ...]
    original_files: tuple[FileContent, ...]
    arithmetic: tuple[str, ...] = ()


class HoldLiveRestore(ActionBase):
    """Switch live-restore on for the restart, by daemon.json and SIGHUP.

    content: what daemon.json is while it is held. Undone (released) by `release_content` (live-restore false),
    SIGHUP, a look at `docker info`, then `original`.
    """

    kind: Literal["hold_live_restore"] = "hold_live_restore"
    path: str
    content: FileContent
    release_content: FileContent
    original: FileContent
    effective_before: bool


class ReleaseLiveRestore(ActionBase):
    """Put live-restore back effectively after the restart; the mirror of HoldLiveRestore."""

    kind: Literal["release_live_restore"] = "release_live_restore"
    path: str
    release_content: FileContent
    final: FileContent
    hold_content: FileContent
    effective_after: bool


class Leftover(Frozen):
    """A rule of the engine's, as iptables-save (family 6: ip6tables-save) prints it."""

    family: Literal[4, 6]
    table: str
    chain: str
    rule: str


class SwitchUserlandProxy(ActionBase):
    """Write daemon.json and restart the engine, with the FORWARD guard watched meanwhile.

    content: daemon.json for the restart; back_content: for the restart that undoes it; original: as it stays then.
    leftovers: rules that the engine leaves behind when the proxy comes back (20.10) and that were not there before:
        removed on undo by exact match.
    sysctls_before: those the engine changes by itself and never puts back; restored on undo.
    """

    kind: Literal["userland_proxy"] = "userland_proxy"
    path: str
    target: bool
    content: FileContent
    back_content: FileContent
    original: FileContent
    ruleset: Ruleset
    firewall_backend: str
    leftovers: tuple[Leftover, ...]
    sysctls_before: dict[str, str]
    containers: tuple[str, ...]
    live_restore: bool
    held: bool = True  # within a HoldLiveRestore, whose undo puts the original file back
    restart: bool = True  # False: the engine runs with the target already, only the file is behind


INTENT_LABEL = "remedy.intent"  # its value tells a run's undo its own network from another of the same name


class CreateNetwork(ActionBase):
    """Create a user-defined bridge network of remedy's; undone by removing it, if nobody else has joined it.

    subnets: one IPv4 and at most one IPv6, each with the gateway that the engine gives it (the first address).
    """

    kind: Literal["create_network"] = "create_network"
    name: str
    internal: bool
    subnets: tuple[Subnet, ...]
    labels: dict[str, str]


class NetworkMember(Frozen):
    """A container that joins a network. addresses: fixed ones, empty where the engine chooses."""

    container: str
    container_id: str
    aliases: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()


class ConnectNetwork(ActionBase):
    """Connect running containers to a network, live; undone by disconnecting those that were not on it before.

    The executor compares each container's default routes before and after: one that moved would cut the container's
    published ports (design facts, "network connect"), and fails the action.
    """

    kind: Literal["connect_network"] = "connect_network"
    network: str
    members: tuple[NetworkMember, ...]


class ConfigFile(Frozen):
    """One file of haproxy's configuration that changes.

    path: as haproxy sees it; original and content: what it is before and after, their `path` that on the host, through
    which it is written in place. inode and device: of the file that haproxy sees; it is written only while that one is
    found on the host.
    """

    path: str
    original: FileContent
    content: FileContent
    device: int
    inode: int


class RewiredServer(Frozen):
    """A `server` of haproxy's that changes its address.

    proxy/name as in the configuration and the runtime API. host: the container's name or alias, or its address where
    haproxy cannot ask the engine's DNS. check_port: None where it follows the port.
    is_template: a `server-template`, whose host is a name for several containers; the runtime API has no such server.
    """

    proxy: str
    name: str
    container: str
    container_id: str
    file: str
    line: int
    host_before: str
    port_before: int
    host: str
    port: int
    check_port: int | None = None
    is_template: bool = False


class RewireHaproxy(ActionBase):
    """Lead haproxy's servers to their containers by name, without losing a request.

    Wait until each name resolves and each backend answers from within haproxy's own network namespace; check the
    candidate with the running image's haproxy -c; runtime API where there is a socket; write in place; reload; wait for
    the new workers. Undone in the opposite direction with the original bytes.

    container_id None: a service of the host (unit). files empty: the configuration lies in the image, only the
    runtime API is used. how: whether a reload (master CLI, SIGUSR2 or the unit's own), a restart of the container, or
    nothing follows the file. moved: ADDRESS:PORTs that this haproxy does not connect to any more. joined: ids of the
    containers that the plan brings onto the network, and its undo takes off it; None: not known.
    """

    kind: Literal["rewire_haproxy"] = "rewire_haproxy"
    container: str | None
    container_id: str | None
    unit: str | None = None
    network: str
    files: tuple[ConfigFile, ...]
    servers: tuple[RewiredServer, ...]
    runtime_socket: str | None = None
    how: Literal["reload", "restart", "runtime"] = "reload"
    master_socket: str | None = None
    moved: tuple[str, ...] = ()
    joined: tuple[str, ...] | None = None


class WriteComposeOverride(ActionBase):
    """Write the compose file that keeps the services on the network when they are recreated.

    original: what lies there (raw None: nothing). compose_files: the project's own, with which it is checked. Its
    directory must belong to the owner of `content`, or to root.
    """

    kind: Literal["compose_override"] = "compose_override"
    path: str
    project: str
    services: tuple[str, ...]
    network: str
    content: FileContent
    original: FileContent
    compose_files: tuple[str, ...]
    working_directory: str


class SetWatcher(ActionBase):
    """Install the watcher's service, or remove it. spec_path: the remedy.yaml that it goes by, whole."""

    kind: Literal["watcher"] = "watcher"
    installed: bool
    spec_path: str | None = None
    daemon_json_path: str = "/etc/docker/daemon.json"


Action = Annotated[
    SetSysctls
    | SetHairpinMode
    | WriteRules
    | RemoveRules
    | ForgetFlows
    | UntrackInside
    | HoldLiveRestore
    | SwitchUserlandProxy
    | ReleaseLiveRestore
    | CreateNetwork
    | ConnectNetwork
    | RewireHaproxy
    | WriteComposeOverride
    | SizeConntrack
    | SetWatcher,
    Field(discriminator="kind"),
]
