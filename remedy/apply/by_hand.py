"""The commands that undo an action by hand, for the operator whom exit code 4 leaves alone with the host.

In the order in which they are printed they finish the job: what an action's undo only prepares for the next one
(rules and live-restore for a restart) is left out.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator, Mapping, Sequence

from remedy.actions.engine_state import save_command
from remedy.apply.by_hand_haproxy import haproxy_by_hand
from remedy.facts.model import FirewallBackend
from remedy.facts.systemd import WATCHER_UNIT
from remedy.firewall import names
from remedy.firewall.forward_guard import can_guard
from remedy.firewall.inside import removal_by_hand
from remedy.firewall.iptables_rules import (
    Family,
    OwnChain,
    forward_chain,
    forward_chain_name,
    forward_jump_forms,
    tables,
)
from remedy.firewall.nft_text import render
from remedy.firewall.ruleset import Ruleset
from remedy.firewall.untracked_pairs import NOTRACK
from remedy.host.conntrack_settings import setting_path
from remedy.host.sysctls import path_of
from remedy.host.units import unit_path
from remedy.plan.actions import (
    Action,
    ConnectNetwork,
    CreateNetwork,
    FileContent,
    ForgetFlows,
    HoldLiveRestore,
    ReleaseLiveRestore,
    RemoveRules,
    RewireHaproxy,
    SetHairpinMode,
    SetSysctls,
    SetWatcher,
    SizeConntrack,
    SwitchUserlandProxy,
    UntrackInside,
    WriteComposeOverride,
    WriteRules,
)


def commands_by_hand(action: Action, undo: Mapping[str, object]) -> tuple[str, ...]:
    """Shell commands, one a line, that undo the action."""
    return tuple(_commands(action, undo))


def _commands(action: Action, undo: Mapping[str, object]) -> Iterator[str]:
    match action:
        case SetSysctls() | SetHairpinMode() | SizeConntrack():
            yield from _settings(action, undo)
        case WriteRules() | RemoveRules():
            yield from _rules(action, undo)
        case HoldLiveRestore():
            yield from _write(action.release_content)
            yield "systemctl reload docker"
            yield "docker info -f '{{.LiveRestoreEnabled}}'   # must say " + str(action.effective_before).lower()
            yield from _write(action.original, undo)
        case SwitchUserlandProxy():
            yield from _switch(action, undo)
        case UntrackInside():
            yield from _inside(action, undo)
        case ForgetFlows() | ReleaseLiveRestore():
            return  # there is nothing; undoing the hold does all of it
        case WriteComposeOverride():
            yield from _write(action.original)
        case SetWatcher():
            yield from _watcher(undo)
        case ConnectNetwork():
            yield from _disconnect(action, undo)
        case CreateNetwork():
            yield from _remove_network(action, undo)
        case RewireHaproxy():
            yield from haproxy_by_hand(action, undo)


def _settings(action: SetSysctls | SetHairpinMode | SizeConntrack, undo: Mapping[str, object]) -> Iterator[str]:
    match action:
        case SetSysctls():
            yield from _sysctls(action.previous)
        case SetHairpinMode():
            yield from _hairpin_mode(action)
        case SizeConntrack():
            yield from _conntrack(action, undo)


def _hairpin_mode(action: SetHairpinMode) -> Iterator[str]:
    for port in action.ports:
        path = f"/sys/class/net/{port.interface}/brport/hairpin_mode"
        yield f"[ ! -e {path} ] || echo {int(port.previous)} > {path}"


def _conntrack(action: SizeConntrack, undo: Mapping[str, object]) -> Iterator[str]:
    for file in action.original_files:
        yield from _write(file)
    made = undo.get("made")
    yield from (f"rmdir {shlex.quote(str(directory))}" for directory in (made if isinstance(made, list) else ()))
    for name, value in reversed(action.previous.items()):
        yield f"echo {shlex.quote(value)} > {shlex.quote(str(setting_path(name)))}"


def _watcher(undo: Mapping[str, object]) -> Iterator[str]:
    text = undo.get("unit")
    if isinstance(text, str):
        path = shlex.quote(str(unit_path(WATCHER_UNIT)))
        yield f"echo {base64.b64encode(text.encode()).decode()} | base64 -d > {path}"
        now = "--now " if undo.get("active") is True else ""
        yield f"systemctl daemon-reload; systemctl enable {now}{WATCHER_UNIT}"
    else:
        yield "remedy watch --uninstall"


def _inside(action: UntrackInside, undo: Mapping[str, object]) -> Iterator[str]:
    if not action.untracked:
        return  # nothing is lost where a table fills, and the next plan keeps it empty again
    listed = undo.get("present")
    present = set(listed) if isinstance(listed, list) else set()
    for member in action.members:
        if member.container_id not in present:
            yield removal_by_hand(member.container_id, FirewallBackend(action.firewall_backend))


def _disconnect(action: ConnectNetwork, undo: Mapping[str, object]) -> Iterator[str]:
    listed = undo.get("present")
    present = set(listed) if isinstance(listed, list) else set()
    network = shlex.quote(action.network)
    for member in action.members:
        if member.container_id not in present:
            yield f"docker network disconnect {network} {shlex.quote(member.container)} || true"
    files = undo.get("files")
    for named in (files if isinstance(files, dict) else {}).values():
        for path, encoded in named.items():
            if not str(path).startswith("/"):
                continue
            file = shlex.quote(str(path))
            yield f"[ ! -e {file} ] || echo {shlex.quote(str(encoded))} | base64 -d > {file}"


def _remove_network(action: CreateNetwork, undo: Mapping[str, object]) -> Iterator[str]:
    name = shlex.quote(action.name)
    yield "docker network inspect -f '{{range .Containers}}{{.Name}} {{end}}' " + f"{name}   # disconnect each of them"
    intent = undo.get("intent")
    # Never somebody else's network of the same name.
    wanted = f"$(docker network ls -q --filter label=remedy.intent={shlex.quote(str(intent))})" if intent else name
    yield f"docker network rm {wanted}"


def _switch(action: SwitchUserlandProxy, undo: Mapping[str, object]) -> Iterator[str]:
    yield from _write(action.back_content, undo)
    if not action.restart:
        return
    yield "systemctl reset-failed docker; systemctl restart docker"
    for leftover in action.leftovers:
        # By its number, found by the whole text: -D RULE of iptables 1.8.11 compares without the interfaces.
        save = save_command(FirewallBackend(action.firewall_backend), leftover.family)
        listed = f"{save} -t {leftover.table} | grep '^-A {leftover.chain} '"
        number = f"$({listed} | grep -nxF -- {shlex.quote(leftover.rule)} | head -n 1 | cut -d: -f1)"
        delete = f"{save.removesuffix('-save')} -w -t {leftover.table} -D {leftover.chain} $n"
        yield f'n={number}; [ -z "$n" ] || {delete}'
    yield from _sysctls(action.sysctls_before)
    if not action.held and action.original.raw != action.back_content.raw:
        yield from _write(action.original, undo)


def _sysctls(values: Mapping[str, str]) -> Iterator[str]:
    for name, value in values.items():
        yield f"echo {shlex.quote(value)} > {shlex.quote(str(path_of(name)))}"


def _write(content: FileContent, undo: Mapping[str, object] | None = None) -> Iterator[str]:
    path = shlex.quote(content.path)
    if content.raw is not None:
        encoded = base64.b64encode(content.raw).decode()
        yield f"echo {encoded} | base64 -d > {path}"
        return
    made = (undo or {}).get("made")
    directories = [shlex.quote(str(name)) for name in made] if isinstance(made, list) else []
    yield f"rm -f {path}" + "".join(f"; rmdir {directory}" for directory in directories)


def _rules(action: WriteRules | RemoveRules, undo: Mapping[str, object]) -> Iterator[str]:
    previous = undo.get("previous")
    backend = FirewallBackend(action.firewall_backend)
    yield from _remove_rules(action.ruleset, backend)
    # The bridging rules are there for a restart only: whoever writes them again removes them in the end.
    if previous is not None and action.ruleset.name != "bridging":
        yield from _write_rules(Ruleset.model_validate(previous), backend)


def _remove_rules(ruleset: Ruleset, backend: FirewallBackend) -> Iterator[str]:
    if backend is FirewallBackend.IPTABLES_LEGACY:
        # Lines with our chains are dropped, every other one is loaded again as it is.
        prefix = names.chain_prefix(ruleset.name)
        for family in (4, 6):
            save = save_command(backend, family)
            yield f"{save} -c | grep -v -- {prefix} | {save.removesuffix('-save')}-restore -c"
        return
    table = names.nft_table(ruleset.name)
    for title in (f"ip {table}", f"ip6 {table}"):
        yield f"nft delete table {title} 2>/dev/null || true"
    # Of untracked pairs the watcher may have found since that an accept is needed, or does no harm.
    may_accept = ruleset.accepts_in_forward or ruleset.name == NOTRACK
    if may_accept and backend is FirewallBackend.IPTABLES_NFT:
        jumps, chain = forward_jump_forms(ruleset), forward_chain_name(ruleset.name)
        for family in (4, 6):
            tool = save_command(backend, family).removesuffix("-save") + " -w"
            yield from (f"while {tool} {jump.deletion} 2>/dev/null; do :; done" for jump in jumps)
            yield f"{tool} -F {chain} 2>/dev/null || true"
            yield f"{tool} -X {chain} 2>/dev/null || true"


def _write_rules(ruleset: Ruleset, backend: FirewallBackend) -> Iterator[str]:
    for family in sorted(ruleset.families) if ruleset.accepts_in_forward and can_guard(backend) else ():
        chain = forward_chain(ruleset, family, has_user_chain=True)
        yield _restore("filter", family, (chain,), backend)
    if backend is not FirewallBackend.IPTABLES_LEGACY:
        yield f"echo {base64.b64encode(render(ruleset).encode()).decode()} | base64 -d | nft -f -"
        return
    for table in tables(ruleset):
        yield _restore(table.name, table.family, table.chains, backend)


def _restore(table: str, family: Family, chains: Sequence[OwnChain], backend: FirewallBackend) -> str:
    lines = [f"*{table}", *(f":{chain.name} - [0:0]" for chain in chains)]
    for chain in chains:
        lines += [rule.text for rule in chain.rules]
        lines.append(chain.jump.text.replace("-A ", "-I ", 1))
    encoded = base64.b64encode("\n".join([*lines, "COMMIT", ""]).encode()).decode()
    restore = save_command(backend, family).removesuffix("-save") + "-restore"
    return f"echo {encoded} | base64 -d | {restore} --noflush"
