"""RewireHaproxy: which words of which lines change, and how haproxy takes it up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from remedy.errors import RemedyError
from remedy.facts.model import Container, HaproxyFacts, HaproxyFile, HostFacts
from remedy.haproxy_cfg.edit import ResolversSection, ServerEdit, edit_config
from remedy.haproxy_cfg.servers import ServerLine, read_servers
from remedy.haproxy_cfg.traits import Traits, read_traits
from remedy.plan.model import (
    Action,
    ConfigFile,
    Disruption,
    FileContent,
    PlanWarning,
    Refusal,
    RewiredServer,
    RewireHaproxy,
)
from remedy.plan.rewiring.consequences import consequences
from remedy.plan.rewiring.mapping import Led, LeftAlone
from remedy.plan.rewiring.obstacles import cannot_reload, config_in_image, file_refusal, pinned_servers
from remedy.plan.user_network import NetworkPlan
from remedy.spec.models import HostPort, Spec, UserNetworkOptions

RESOLVERS = "remedy"
# After a container is made anew its name may be unknown for a moment, and haproxy must start all the same.
INIT_ADDR = "last,libc,none"
# `last` is the address in the server-state file, which is the one before the change.
INIT_ADDR_WITH_STATE_FILE = "libc,none"


@dataclass(frozen=True, slots=True)
class Edited:
    """The action, if there is one. is_possible: nothing forbids it."""

    actions: tuple[Action, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[PlanWarning, ...] = ()
    left_alone: tuple[LeftAlone, ...] = ()

    @property
    def is_possible(self) -> bool:
        """Whether nothing forbids it."""
        return not self.refusals


@dataclass(frozen=True, slots=True)
class _Change:
    """One server's edit."""

    led: Led
    line: ServerLine
    edit: ServerEdit
    rewired: RewiredServer


def rewire_action(
    spec: Spec,
    facts: HostFacts,
    balanced: tuple[Container, HaproxyFacts],
    led: Sequence[Led],
    network: NetworkPlan,
    options: UserNetworkOptions,
) -> Edited:
    """The action that leads these servers to their containers by name."""
    balancer, haproxy = balanced
    if not led:
        return Edited()
    texts = [(file.path, file.raw) for file in haproxy.files]
    traits = read_traits(texts, {})
    lines = {(line.file, line.line): line for line in read_servers(texts, {})}
    changes: list[_Change] = []
    alone: list[LeftAlone] = []
    for item in led:
        line = lines.get((item.server.file, item.server.line))
        change = LeftAlone(item.server, "its line was not understood") if line is None else None
        made = change or _change(item, line, traits, network)  # type: ignore[arg-type]
        (alone if isinstance(made, LeftAlone) else changes).append(made)  # type: ignore[arg-type]
    if not changes:
        return Edited(left_alone=tuple(alone))
    touched = {change.edit.file for change in changes}
    files = [file for file in haproxy.files if file.path in touched]
    refusals = [*(r for r in map(file_refusal, files) if r is not None)]
    how, in_image, obstacle = _how(balancer, haproxy, files, spec, options)
    refusals += obstacle
    try:
        written = _written(files, changes, traits)
    except RemedyError as error:
        refusals.append(_not_editable(error))
        written = ()
    if refusals:
        return Edited(refusals=tuple(refusals), left_alone=tuple(alone))
    moved = _moved(haproxy, changes)
    action = _action(balanced, network, () if in_image else written, changes, how, moved)
    told = consequences(haproxy, traits, [c.line for c in changes], how)
    inside = [_to_write_by_hand(written, balancer)] if in_image else []
    return Edited((action,), (), (*told, *inside), tuple(alone))


def _change(led: Led, line: ServerLine, traits: Traits, network: NetworkPlan) -> _Change | LeftAlone:
    container, target = led.target.container, led.target
    host = network.names.get(container.id, container.name)
    if line.is_template:
        labels = container.labels
        service = (labels.get("com.docker.compose.project", ""), labels.get("com.docker.compose.service", ""))
        if service not in network.service_aliases:
            return LeftAlone(led.server, "a server-template needs a name for several containers: a compose service's")
        host = network.service_aliases[service]
    if line.resolvers is not None and line.resolvers != traits.fitting_resolvers:
        return LeftAlone(led.server, f"it asks the resolvers {line.resolvers}, which are not the engine's DNS")
    agent_port = None
    if line.agent_check and line.agent_port is not None and line.agent_addr is None:
        return LeftAlone(led.server, f"its agent-port {line.agent_port} is one of the host's, not the container's")
    init_addr = INIT_ADDR_WITH_STATE_FILE if traits.uses_server_state_file else INIT_ADDR
    edit = ServerEdit(
        file=line.file,
        line=line.line,
        host=host,
        port=target.port,
        check_port=target.check_port,
        agent_port=agent_port,
        resolvers=None if line.resolvers is not None else traits.fitting_resolvers or _new_resolvers(traits),
        init_addr=None if line.init_addr is not None else init_addr,
        resolve_prefer=None if line.resolve_prefer is not None else network.resolve_prefer,
    )
    rewired = RewiredServer(
        proxy=led.server.proxy,
        name=led.server.name,
        container=container.name,
        container_id=container.id,
        file=line.file,
        line=line.line,
        host_before=led.server.host,
        port_before=led.server.port or target.port,
        host=host,
        port=target.port,
        check_port=target.check_port,
        is_template=line.is_template,
    )
    return _Change(led, line, edit, rewired)


def _new_resolvers(traits: Traits) -> str:
    """A name for the section that is added: `remedy`, unless somebody has one of that name."""
    name, number = RESOLVERS, 1
    while name in traits.resolvers_names:
        number += 1
        name = f"{RESOLVERS}-{number}"
    return name


def _how(
    balancer: Container,
    haproxy: HaproxyFacts,
    files: Sequence[HaproxyFile],
    spec: Spec,
    options: UserNetworkOptions,
) -> tuple[str, bool, list[Refusal]]:
    """How haproxy takes it up, whether the file is the image's own, and what forbids it."""
    inside = next((file.path for file in files if file.host_path is None), None)
    has_api = any(socket.level == "admin" for socket in haproxy.sockets)
    if inside is not None:
        if not has_api:
            return "runtime", True, [config_in_image(balancer, inside)]
        pinned = [] if spec.accepts_pinned else [pinned_servers(balancer, f"{inside} is part of the image")]
        return "runtime", True, pinned
    if haproxy.is_master_worker:
        return "reload", False, []
    if options.restart_load_balancer:
        return "restart", False, []
    if not has_api:
        return "runtime", False, [cannot_reload(balancer)]
    pinned = [] if spec.accepts_pinned else [pinned_servers(balancer, "it does not run in master-worker mode (-W)")]
    return "runtime", False, pinned


def _written(files: Sequence[HaproxyFile], changes: Sequence[_Change], traits: Traits) -> tuple[ConfigFile, ...]:
    """The files as they will be; the resolvers section goes into the first. Raises ConfigEditError."""
    new = next((c.edit.resolvers for c in changes if c.edit.resolvers not in (None, traits.fitting_resolvers)), None)
    found = []
    for file in files:
        section = ResolversSection(new) if new is not None and file is files[0] else None
        content = edit_config(file.raw, [c.edit for c in changes if c.edit.file == file.path], section)
        found.append(_config_file(file, content))
    return tuple(found)


def _config_file(file: HaproxyFile, content: bytes) -> ConfigFile:
    path = file.host_path or file.path
    original = FileContent(path=path, raw=file.raw, mode=file.mode, uid=file.uid, gid=file.gid)
    return ConfigFile(
        path=file.path,
        original=original,
        content=original.model_copy(update={"raw": content}),
        device=file.device,
        inode=file.inode,
    )


def _moved(haproxy: HaproxyFacts, changes: Sequence[_Change]) -> tuple[str, ...]:
    """Addresses and ports that none of this haproxy's servers uses any more."""
    edited = {(change.edit.file, change.edit.line) for change in changes}
    kept = {
        str(HostPort(address=address, port=server.port))
        for server in haproxy.servers
        if (server.file, server.line) not in edited and server.port is not None
        for address in server.addresses
    } | {
        f"{server.host}:{server.port}" for server in haproxy.servers if (server.file, server.line) not in edited
    }
    gone = dict.fromkeys(
        str(HostPort(address=address, port=port))
        for change in changes
        for address in change.led.target.addresses
        for port in (change.led.server.port, change.led.server.check_port)
        if port is not None
    )
    return tuple(place for place in gone if place not in kept)


def _action(
    balanced: tuple[Container, HaproxyFacts],
    network: NetworkPlan,
    files: tuple[ConfigFile, ...],
    changes: Sequence[_Change],
    how: str,
    moved: tuple[str, ...],
) -> RewireHaproxy:
    balancer, haproxy = balanced
    servers = tuple(change.rewired for change in changes)
    socket = next((s.address for s in haproxy.sockets if s.level == "admin"), None)
    return RewireHaproxy(
        id="rewire_haproxy",
        summary=f"lead {len(servers)} server{'s' * (len(servers) > 1)} of haproxy in {balancer.name} "
        f"to {'their containers' if len(servers) > 1 else 'its container'} by name, on {network.name}",
        reason="haproxy and its backends are neighbours then: no docker-proxy, no NAT, and a name that follows the "
        "container when it is made again",
        before=_some(f"{s.host_before}:{s.port_before}" for s in servers),
        after=_some(f"{s.host}:{s.port}" for s in servers),
        inverse="the original bytes into the same file, and the same way to take them up",
        disruption=_disruption(balancer, haproxy, how),
        container=balancer.name,
        container_id=balancer.id,
        network=network.name,
        files=files,
        servers=servers,
        runtime_socket=socket,
        how=how,  # type: ignore[arg-type]
        master_socket=haproxy.master_socket,
        moved=moved,
    )


def _disruption(balancer: Container, haproxy: HaproxyFacts, how: str) -> Disruption:
    if how == "restart":
        return Disruption(level="connections", containers=(balancer.name,), what="haproxy is restarted")
    if how == "runtime":
        return Disruption(what="by the runtime API")
    bound = haproxy.hard_stop_after
    until = f"after {bound} at the latest (hard-stop-after)" if bound else "when their clients have left"
    return Disruption(
        level="reload",
        what=f"new workers take over, the old ones go {until}; a client that keeps its connection alive sees one "
        "orderly close at most",
    )


def _to_write_by_hand(written: Sequence[ConfigFile], balancer: Container) -> PlanWarning:
    names = ", ".join(file.path for file in written)
    return PlanWarning(
        code="config-in-image",
        what=f"{names} is part of the image of {balancer.name}: remedy changes the running haproxy only",
        detail="the next start of the container undoes it; build these lines into the image:\n"
        + "\n".join(_added_lines(written)),
    )


def _added_lines(written: Sequence[ConfigFile]) -> Iterator[str]:
    for file in written:
        before = set((file.original.raw or b"").splitlines())
        for line in (file.content.raw or b"").splitlines():
            if line not in before:
                yield line.decode(errors="backslashreplace")


def _not_editable(error: RemedyError) -> Refusal:
    return Refusal(
        code="config-not-editable",
        what=error.what,
        why=error.why or "",
        cure=error.next_step or "write this server's address by hand, and plan again",
    )


def _some(texts: Iterator[str]) -> str:
    items = list(texts)
    return ", ".join(items[:6]) + (" ..." if len(items) > 6 else "")
