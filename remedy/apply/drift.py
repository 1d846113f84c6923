"""Where the host has drifted from what was left, a finding each: pure, from a run's records and the facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from remedy.apply.model import Drift
from remedy.apply.runs import Run
from remedy.apply.standing import standing_actions
from remedy.facts.model import Address, FirewallBackend, HostFacts
from remedy.facts.systemd import WATCHER_UNIT
from remedy.firewall.ruleset import Redirect, Ruleset, UntrackedPair
from remedy.firewall.writer import select_writer
from remedy.plan.actions import (
    Action,
    ConnectNetwork,
    ReleaseLiveRestore,
    RewireHaproxy,
    SetHairpinMode,
    SetSysctls,
    SetWatcher,
    SizeConntrack,
    SwitchUserlandProxy,
    UntrackInside,
    WriteComposeOverride,
)
from remedy.plan.actions import WriteRules as WriteRulesPlan
from remedy.plan.conntrack.sizing import current_value
from remedy.plan.refusals import WATCHING, proxy_is_configured
from remedy.spec.models import Spec


def drift_from_spec(spec: Spec, facts: HostFacts) -> Iterator[Drift]:
    """What the spec wants otherwise, as far as that is seen without a plan."""
    wanted = spec.remedies.userland_proxy
    if wanted is not None and facts.engine.userland_proxy is not None and facts.engine.userland_proxy is not wanted:
        yield Drift(
            what="the spec wants another userland proxy than the engine runs with",
            where="remedies.userland_proxy",
            expected=str(wanted).lower(),
            found=str(facts.engine.userland_proxy).lower(),
            next_step="remedy plan",
        )


def drift_of_runs(runs: Sequence[Run], facts: HostFacts) -> Iterator[Drift]:
    """What is not as these runs left it, the oldest first, or the watcher since."""
    actions = standing_actions(runs)
    switched = next((a for a in actions if isinstance(a, SwitchUserlandProxy)), None)
    for action in actions:
        if isinstance(action, WriteRulesPlan):
            owned = runs[-1].owned_rules
            yield from _rules(action, owned.get(action.ruleset.name), facts)
        elif isinstance(action, SetSysctls):
            yield from _sysctls(action, facts)
        elif isinstance(action, SizeConntrack):
            yield from _conntrack(action, facts)
        elif isinstance(action, SetHairpinMode):
            yield from _hairpin_mode(action, facts)
        elif isinstance(action, UntrackInside):
            yield from _inside(action, facts)
        elif isinstance(action, RewireHaproxy):
            yield from _haproxy(action, facts)
        elif isinstance(action, ConnectNetwork):
            yield from _members(action, facts)
        elif isinstance(action, WriteComposeOverride):
            yield from _override(action, facts)
        elif isinstance(action, SetWatcher):
            yield from _watcher(action, facts)
    if switched is not None:
        yield from _userland_proxy(switched, _final_bytes(actions), facts)


def _watcher(action: SetWatcher, facts: HostFacts) -> Iterator[Drift]:
    state = facts.systemd.watcher
    if action.installed and state not in WATCHING:
        yield Drift(
            what="the watcher does not run: nothing follows the containers",
            where=WATCHER_UNIT,
            expected="active",
            found=state or "not installed",
            next_step=f"journalctl -u {WATCHER_UNIT}; remedy plan, remedy apply install it again",
        )


def _final_bytes(actions: tuple[Action, ...]) -> bytes | None:
    for action in reversed(actions):
        if isinstance(action, ReleaseLiveRestore):
            return action.final.raw
        if isinstance(action, SwitchUserlandProxy):
            return action.content.raw
    return None


def _userland_proxy(action: SwitchUserlandProxy, final: bytes | None, facts: HostFacts) -> Iterator[Drift]:
    if proxy_is_configured(facts) is not action.target:
        yield Drift(
            what="userland-proxy was changed in daemon.json",
            where=action.path,
            expected=str(action.target).lower(),
            found=str(proxy_is_configured(facts)).lower(),
            next_step="remedy plan, to see what it would change back",
        )
    elif facts.daemon_json.raw != final:
        yield Drift(
            what="daemon.json was edited since remedy wrote it",
            where=action.path,
            expected="the bytes that remedy left",
            found="other bytes",
            next_step="nothing, if the edit is yours: `remedy rollback` will ask for --force",
        )
    if facts.engine.userland_proxy is not None and facts.engine.userland_proxy is not action.target:
        yield Drift(
            what="the engine runs with the other userland proxy",
            where="dockerd",
            expected="on" if action.target else "off",
            found="on" if facts.engine.userland_proxy else "off",
            next_step="remedy plan",
        )


def _sysctls(action: SetSysctls, facts: HostFacts) -> Iterator[Drift]:
    for name, value in action.values.items():
        found = facts.sysctls.get(name)
        if found is not None and found != value:
            yield Drift(what="a sysctl was changed", where=name, expected=value, found=found, next_step="remedy plan")


def _conntrack(action: SizeConntrack, facts: HostFacts) -> Iterator[Drift]:
    for name, value in action.values.items():
        found = current_value(name, facts)
        if found is not None and found != value:
            yield Drift(
                what="a conntrack setting was changed", where=name, expected=value, found=found, next_step="remedy plan"
            )
    present = {file.path: file.raw for file in (facts.conntrack.sizing.own_files if facts.conntrack.sizing else ())}
    for file in action.files:
        if file.path in present and present[file.path] != file.raw:
            yield Drift(
                what="the file that sets conntrack's size at boot is not as remedy wrote it",
                where=file.path,
                expected="the bytes that remedy left",
                found="no file" if present[file.path] is None else "other bytes",
                next_step="remedy plan: the next boot brings other values",
            )


def _hairpin_mode(action: SetHairpinMode, facts: HostFacts) -> Iterator[Drift]:
    wanted = {port.container for port in action.ports}
    names = {container.id: container.name for container in facts.containers}
    for port in facts.bridge_ports:
        # Of the bridges that were meant: on an internal network nobody has a published port to come back by.
        is_meant = port.bridge in action.bridges and names.get(port.container_id or "") in wanted
        if is_meant and not port.hairpin_mode:
            yield Drift(
                what="a bridge port's hairpin mode is off",
                where=f"{port.interface} in {port.bridge}",
                expected="on",
                found="off",
                next_step="remedy plan",
            )


def _members(action: ConnectNetwork, facts: HostFacts) -> Iterator[Drift]:
    """By name: whoever makes a container again gives it another id."""
    if all(network.name != action.network for network in facts.networks):
        yield Drift(
            what=f"the network {action.network} is gone",
            where=action.network,
            expected="a network",
            found="none",
            next_step="remedy rollback, then remedy plan, remedy apply",
        )
        return
    running = {container.name: container for container in facts.containers if container.is_running}
    for member in action.members:
        container = running.get(member.container)
        if container is not None and all(e.network_name != action.network for e in container.endpoints):
            is_new = container.id != member.container_id
            yield Drift(
                what=f"{member.container} is not on the network {action.network} any more",
                where=member.container,
                expected="connected",
                found="made again without it" if is_new else "disconnected",
                next_step="remedy plan, remedy apply: until then haproxy does not find it by name",
            )


def _inside(action: UntrackInside, facts: HostFacts) -> Iterator[Drift]:
    """By name, as above."""
    wanted = {member.container for member in action.members} if action.untracked else set()
    names = {container.id: container.name for container in facts.containers}
    for space in facts.namespaces:
        member = next((names[identity] for identity in space.containers if names.get(identity) in wanted), None)
        table = space.own_table
        if member is not None and table is not None and table.rules == "engine" and not table.kept_empty:
            yield Drift(
                what=f"the own conntrack table of {member} fills again",
                where=f"the network namespace of {member}",
                expected="remedy's rules there",
                found="none",
                next_step="remedy plan, remedy apply: it has started again, or they were removed",
            )


def _override(action: WriteComposeOverride, facts: HostFacts) -> Iterator[Drift]:
    project = next((known for known in facts.compose_projects if known.name == action.project), None)
    if project is None or project.override is None or project.override.path != action.path:
        return
    if project.override.raw != action.content.raw:
        yield Drift(
            what="the compose override is not as remedy wrote it",
            where=action.path,
            expected="the bytes that remedy left",
            found="no file" if project.override.raw is None else "other bytes",
            next_step="remedy plan: compose takes the services off the network when it makes them again",
        )


def _haproxy(action: RewireHaproxy, facts: HostFacts) -> Iterator[Drift]:
    """The file as haproxy sees it now: also after the container was made again, with another process."""
    names = {container.id: container.name for container in facts.containers}
    seen = {
        file.path: file
        for haproxy in facts.haproxies
        if names.get(haproxy.container_id or "") == action.container
        for file in haproxy.files
    }
    for file in action.files:
        now = seen.get(file.path)
        if now is not None and now.raw != file.content.raw:
            is_back = now.raw == file.original.raw
            yield Drift(
                what="haproxy's configuration was edited since remedy wrote it",
                where=file.content.path,
                expected="the bytes that remedy left",
                found="the bytes from before" if is_back else "other bytes",
                next_step="remedy plan, to lead the servers there again"
                if is_back
                else "nothing, if the edit is yours: `remedy rollback` will ask for --force",
            )
        elif now is not None and now.host_path is not None and now.host_inode != now.inode:
            yield Drift(
                what="haproxy's configuration was replaced by another file since remedy wrote it",
                where=file.content.path,
                expected="the file that haproxy sees",
                found="none" if now.host_inode is None else "another file, which haproxy sees after a restart",
                next_step="nothing, if that is yours: `remedy rollback` will ask for --force",
            )


def _rules(action: WriteRulesPlan, written: Ruleset | None, facts: HostFacts) -> Iterator[Drift]:
    """written: as they were written last, by this run or by the watcher; None: the watcher had none to keep."""
    writer = select_writer(FirewallBackend(action.firewall_backend))
    ruleset = written or action.ruleset.model_copy(update={"redirects": (), "guard_localnet": (), "untracked": ()})
    for difference in writer.differences(ruleset, facts.firewall):
        yield Drift(
            what=f"remedy's {action.ruleset.name} rules are not as they were written",
            where=action.firewall_backend,
            expected="as written",
            found=difference,
            next_step="remedy plan, remedy apply",
        )
    owners = _owners(facts)
    for redirect in ruleset.redirects:
        drift = _pinned(redirect, owners)
        if drift is not None:
            yield drift
    for pair in ruleset.untracked:
        yield from _moved_ends(pair, owners)


def _owners(facts: HostFacts) -> dict[Address, str]:
    """Which running container has which address."""
    return {
        interface.ip: container.name
        for container in facts.containers
        if container.is_running
        for endpoint in container.endpoints
        for interface in (endpoint.ipv4, endpoint.ipv6)
        if interface is not None
    }


def _moved_ends(pair: UntrackedPair, owners: Mapping[Address, str]) -> Iterator[Drift]:
    """An end of a pair whose container is gone, or whose address belongs to another one now."""
    for address, name in ((pair.client_address, pair.client), (pair.server_address, pair.server)):
        owner = owners.get(address)
        if owner != name:
            yield Drift(
                what=f"the notrack rule of {pair.client} and {pair.server} names an address that {name} does not have",
                where=f"{address} on {pair.network}",
                expected=name,
                found="no container" if owner is None else owner,
                next_step="remedy plan, remedy apply: until then this pair is tracked"
                + ("" if owner is None else f", and {owner} is not while it talks to the other end"),
            )


def _pinned(redirect: Redirect, owners: Mapping[Address, str]) -> Drift | None:
    """A rule whose container is gone, or whose address belongs to another one now."""
    owner = owners.get(redirect.to_address)
    if owner == redirect.container:
        return None
    return Drift(
        what=f"the rule for port {redirect.port} points at an address that {redirect.container} does not have",
        where=f"{redirect.to_address}:{redirect.to_port}",
        expected=redirect.container,
        found="no container" if owner is None else owner,
        next_step="remedy plan, remedy apply: until then port "
        f"{redirect.port} is {'dead' if owner is None else 'answered by ' + owner} for containers on {redirect.bridge}",
    )
