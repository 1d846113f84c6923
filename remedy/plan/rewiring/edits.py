"""Which words of haproxy's configuration change for the servers that are led to their containers by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from remedy.facts.model import HaproxyFacts, HaproxyFile
from remedy.haproxy_cfg.edit import ResolversSection, ServerEdit, edit_config
from remedy.haproxy_cfg.engine_dns import Transport
from remedy.haproxy_cfg.servers import CHECK_RULE_PORT, ServerLine
from remedy.haproxy_cfg.traits import Traits
from remedy.plan.actions import ConfigFile, FileContent, RewiredServer
from remedy.plan.rewiring.mapping import Led, LeftAlone
from remedy.plan.user_network import NetworkPlan
from remedy.spec.models import HostPort

RESOLVERS = "remedy"
# After a container is made anew its name may be unknown for a moment, and haproxy must start all the same.
INIT_ADDR = "last,libc,none"
# `last` is the address in the server-state file, which is the one before the change.
INIT_ADDR_WITH_STATE_FILE = "libc,none"


_ANY_ADDRESS = re.compile(r"(?:ipv[46]@)?(?:0\.0\.0\.0|\*|::|\[::\])?(?::.*)?")
_OTHER_WAYS = ("usesrc", "interface", "namespace", "socks4")


@dataclass(frozen=True, slots=True)
class Config:
    """What the whole configuration says, and how this haproxy asks the engine's DNS."""

    traits: Traits
    transport: Transport

    @property
    def resolvers(self) -> str:
        """The section that servers without one are given: one that fits, or `remedy`, unless somebody has that name."""
        fitting = self.traits.fitting_resolvers(self.transport)
        name, number = RESOLVERS, 1
        while fitting is None and name in self.traits.resolvers_names:
            number += 1
            name = f"{RESOLVERS}-{number}"
        return fitting or name

    @property
    def is_section_new(self) -> bool:
        """Whether that section is to be added."""
        return self.traits.fitting_resolvers(self.transport) is None


@dataclass(frozen=True, slots=True)
class Change:
    """One server's edit, and what it comes to."""

    led: Led
    line: ServerLine
    edit: ServerEdit
    rewired: RewiredServer


def change_of(led: Led, line: ServerLine | None, config: Config, network: NetworkPlan) -> Change | LeftAlone:
    """The edit of one server's line, or why it is left alone. line None: it was not understood."""
    traits = config.traits
    if line is None:
        return LeftAlone(led.server, "its line was not understood")
    container, target = led.target.container, led.target
    host = network.names.get(container.id, container.name)
    if line.is_template:
        labels = container.labels
        service = (labels.get("com.docker.compose.project", ""), labels.get("com.docker.compose.service", ""))
        if service not in network.service_aliases:
            return LeftAlone(led.server, "a server-template needs a name for several containers: a compose service's")
        host = network.service_aliases[service]
    if (resolvers := line.options.get("resolvers")) is not None and resolvers not in traits.asks_engine:
        return LeftAlone(led.server, f"it asks the resolvers {resolvers}, which are not the engine's DNS")
    if (elsewhere := _not_from_here(line)) is not None:
        return LeftAlone(led.server, elsewhere)
    checked = line.options.get(CHECK_RULE_PORT) if "check" in line.options else None
    if checked not in (None, str(target.port)):
        return LeftAlone(led.server, f"its check rule connects to port {checked}, which is not the container's")
    if "agent-check" in line.options and "agent-addr" not in line.options:
        return LeftAlone(
            led.server, f"its agent-port {line.options.get('agent-port', '')} is one of the host's, not the container's"
        )
    init_addr = INIT_ADDR_WITH_STATE_FILE if traits.uses_server_state_file else INIT_ADDR
    edit = ServerEdit(
        file=line.file,
        line=line.line,
        host=host,
        port=target.port,
        check_port=target.check_port,
        resolvers=None if resolvers is not None else config.resolvers,
        init_addr=None if "init-addr" in line.options else init_addr,
        resolve_prefer=None if "resolve-prefer" in line.options else network.resolve_prefer,
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
    return Change(led, line, edit, rewired)


def _not_from_here(line: ServerLine) -> str | None:
    """Why the server's connections would not leave by the new network, or not come back; None when they would."""
    source = line.options.get("source", "")
    if source and not _ANY_ADDRESS.fullmatch(source):
        return f"its connections come from an address of their own: source {source}"
    option = next((option for option in _OTHER_WAYS if option in line.options), None)
    return None if option is None else f"its connections go their own way: {option} {line.options[option]}"


def written_files(files: Sequence[HaproxyFile], changes: Sequence[Change], config: Config) -> tuple[ConfigFile, ...]:
    """The files as they will be; the resolvers section goes into the first. Raises ConfigEditError."""
    is_asked_for = any(change.edit.resolvers is not None for change in changes)
    new = ResolversSection(config.resolvers, config.transport) if is_asked_for and config.is_section_new else None
    found = []
    for file in files:
        section = new if file is files[0] else None
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


def moved_addresses(haproxy: HaproxyFacts, changes: Sequence[Change]) -> tuple[str, ...]:
    """Addresses and ports that none of this haproxy's servers uses any more."""
    edited = {(change.edit.file, change.edit.line) for change in changes}
    kept = {
        str(HostPort(address=address, port=server.port))
        for server in haproxy.servers
        if (server.file, server.line) not in edited and server.port is not None
        for address in server.addresses
    } | {f"{server.host}:{server.port}" for server in haproxy.servers if (server.file, server.line) not in edited}
    gone = dict.fromkeys(
        str(HostPort(address=address, port=port))
        for change in changes
        for address in change.led.target.addresses
        for port in (change.led.server.port, change.led.server.check_port)
        if port is not None
    )
    return tuple(place for place in gone if place not in kept)
