"""RewireHaproxy: which words of which lines change, and how haproxy takes it up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from remedy.errors import RemedyError
from remedy.facts.model import Container, HaproxyFacts, HaproxyFile
from remedy.haproxy_cfg.engine_dns import transport_for
from remedy.haproxy_cfg.servers import read_servers
from remedy.haproxy_cfg.traits import read_traits
from remedy.plan.actions import Action, ConfigFile, ConnectNetwork, Disruption, RewireHaproxy
from remedy.plan.model import PlanWarning, Refusal
from remedy.plan.rewiring.consequences import consequences
from remedy.plan.rewiring.edits import Change, Config, change_of, moved_addresses, written_files
from remedy.plan.rewiring.mapping import Led, LeftAlone
from remedy.plan.rewiring.new_way import NewWay
from remedy.plan.rewiring.obstacles import cannot_reload, config_in_image, file_refusal, pinned_servers
from remedy.plan.rewiring.shared_names import share_addresses
from remedy.plan.user_network import NetworkPlan
from remedy.spec.models import Spec, UserNetworkOptions

How = Literal["reload", "restart", "runtime"]


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


def rewire_action(
    spec: Spec,
    balanced: tuple[Container, HaproxyFacts],
    led: Sequence[Led],
    network: NetworkPlan,
    options: UserNetworkOptions,
    new_way: NewWay,
) -> Edited:
    """The action that leads these servers to their containers by name."""
    balancer, haproxy = balanced
    if not led:
        return Edited()
    texts = [(file.path, file.raw) for file in haproxy.files]
    traits = read_traits(texts)
    lines = {(line.file, line.line): line for line in read_servers(texts)}
    config = Config(traits, transport_for(haproxy.version))
    made = [change_of(item, lines.get((item.server.file, item.server.line)), config, network) for item in led]
    changes, shut_out = new_way.sort_out([item for item in made if isinstance(item, Change)])
    changes, unshared = share_addresses(changes, haproxy.servers, lines)
    alone = [*(item for item in made if isinstance(item, LeftAlone)), *shut_out, *unshared]
    if not changes:
        return Edited(left_alone=tuple(alone))
    touched = {change.edit.file for change in changes}
    files = [file for file in haproxy.files if file.path in touched]
    refusals = [*(r for r in map(file_refusal, files) if r is not None)]
    how, in_image, obstacle = _how(balancer, haproxy, files, spec, options)
    refusals += obstacle
    try:
        written = written_files(files, changes, config)
    except RemedyError as error:
        refusals.append(_not_editable(error))
        written = ()
    if refusals:
        return Edited(refusals=tuple(refusals), left_alone=tuple(alone))
    moved = moved_addresses(haproxy, changes)
    action = _action(balanced, network, () if in_image else written, changes, how, moved)
    told = consequences(haproxy, traits, [c.line for c in changes], how)
    inside = [_to_write_by_hand(written, balancer)] if in_image else []
    return Edited((action,), (), (*told, *inside), tuple(alone))


def _how(
    balancer: Container,
    haproxy: HaproxyFacts,
    files: Sequence[HaproxyFile],
    spec: Spec,
    options: UserNetworkOptions,
) -> tuple[How, bool, list[Refusal]]:
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


def _action(
    balanced: tuple[Container, HaproxyFacts],
    network: NetworkPlan,
    files: tuple[ConfigFile, ...],
    changes: Sequence[Change],
    how: How,
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
        inverse="the original bytes into the same file, taken up in the same way",
        disruption=_disruption(balancer, haproxy, how),
        container=balancer.name,
        container_id=balancer.id,
        network=network.name,
        files=files,
        servers=servers,
        runtime_socket=socket,
        how=how,
        master_socket=haproxy.master_socket,
        moved=moved,
        joined=tuple(
            member.container_id
            for action in network.actions
            if isinstance(action, ConnectNetwork)
            for member in action.members
        ),
    )


def _disruption(balancer: Container, haproxy: HaproxyFacts, how: How) -> Disruption:
    if how == "restart":
        return Disruption(level="connections", containers=(balancer.name,), what="haproxy is restarted")
    if how == "runtime":
        return Disruption(what="by the runtime API")
    bound = haproxy.hard_stop_after
    until = f"after {bound} at the latest (hard-stop-after)" if bound else "when their clients have left"
    return Disruption(
        level="reload",
        what=f"new workers take over, the old ones go {until}; a client that keeps its connection alive sees one "
        "close at most, and asks again where that crosses its request",
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
