"""When remedy does not do what the spec wants: each refusal names the reason and what would cure it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from remedy.facts.model import FirewallBackend, HostFacts
from remedy.firewall import names
from remedy.firewall.ruleset import RulesetName
from remedy.plan.engine_flags import configured, flag_of
from remedy.plan.model import Refusal
from remedy.spec.models import Spec

PROXY_FLAG = "userland-proxy"
DEFAULT_FILE = "/etc/docker/daemon.json"
WATCHING = ("active", "activating", "reloading")
ENGINE_UNIT = "docker.service"  # what remedy.actions.engine restarts


def engine_refusals(facts: HostFacts, spec: Spec) -> Iterator[Refusal]:
    """What forbids a change of userland-proxy on this host, whoever its consumers are."""
    yield from _policy(spec)
    yield from _kind_of_engine(facts)
    yield from _daemon_json(facts)
    yield from _live_restore(facts, spec)
    yield from _bridge_names(facts)
    yield from unread_refusals(facts)


def _policy(spec: Spec) -> Iterator[Refusal]:
    if not spec.policy.restart_engine:
        yield Refusal(
            code="restart-not-allowed",
            what="userland-proxy needs a restart of the engine, and the spec forbids one",
            why="no version of the engine reloads userland-proxy",
            cure="policy: {restart_engine: true}, or remedies: {hairpin: true} which needs no restart",
        )


def _kind_of_engine(facts: HostFacts) -> Iterator[Refusal]:
    engine = facts.engine
    if engine.swarm:
        yield Refusal(
            code="swarm",
            what="this engine is part of a swarm",
            why="live-restore does not work in a swarm, and overlay ports depend on docker-proxy (moby 22741)",
            cure="leave userland_proxy out; hairpin works without a restart",
        )
    if engine.rootless:
        yield Refusal(
            code="rootless",
            what="this engine is rootless",
            why="its ports are forwarded by RootlessKit in another namespace, which remedy does not manage",
            cure="leave userland_proxy out",
        )
    if not engine.iptables:
        yield Refusal(
            code="iptables-off",
            what="the engine runs with iptables: false",
            why="without its DNAT rules docker-proxy is the only way to every published port",
            cure="switch iptables on in daemon.json first, or leave userland_proxy out",
        )
    if facts.firewall.backend is FirewallBackend.NFTABLES:
        yield Refusal(
            code="native-nftables",
            what="the engine writes nftables rules itself (firewall-backend: nftables)",
            why="bridging a restart of this backend has not been proved on a real engine by this version",
            cure="leave userland_proxy out; hairpin works with this backend",
        )
    if engine.userland_proxy is None:
        yield Refusal(
            code="proxy-unknown",
            what="it cannot be told whether the engine runs with the userland proxy",
            why=engine.userland_proxy_evidence,
            cure="look at the list of what could not be read: remedy facts",
        )
    if not facts.systemd.available or facts.systemd.unit is None:
        yield Refusal(
            code="no-systemd",
            what="the engine does not run as a systemd unit",
            why="remedy restarts it by systemctl, so that whatever starts it at boot starts it now",
            cure="leave userland_proxy out; hairpin needs no restart",
        )
    elif facts.systemd.unit != ENGINE_UNIT:
        yield Refusal(
            code="other-unit",
            what=f"the engine runs as {facts.systemd.unit}, not as {ENGINE_UNIT}",
            why=f"remedy restarts {ENGINE_UNIT}; packages like snap's keep rules, files and restarts elsewhere",
            cure="leave userland_proxy out; hairpin needs no restart",
        )


def _daemon_json(facts: HostFacts) -> Iterator[Refusal]:
    known = facts.daemon_json
    if known.is_symlink:
        yield Refusal(
            code="daemon-json-symlink",
            what=f"{known.path} is a symbolic link to {known.symlink_target}",
            why="remedy does not write through links: the target may be shared, or managed by another tool",
            cure=f"--daemon-json {shlex.quote(str(known.symlink_target))}, if this is the file to change",
        )
    elif known.problem is not None:
        yield Refusal(
            code="daemon-json-invalid",
            what=f"{known.path} cannot be edited: {known.problem}",
            why="the engine could not start with it either: a restart would leave the host without Docker",
            cure="correct the file; `python3 -m json.tool FILE` shows where it is wrong",
        )
    flag = flag_of(facts, PROXY_FLAG)
    if flag is not None:
        yield Refusal(
            code="flag",
            what=f"dockerd's command line has --{PROXY_FLAG}={flag}",
            why="the engine does not start when a key is both on its command line and in daemon.json",
            cure="move the flag from the unit (systemctl edit docker) into daemon.json",
        )
    if not known.is_the_engines:
        read = flag_of(facts, "config-file") or DEFAULT_FILE
        yield Refusal(
            code="config-file",
            what=f"dockerd reads {read}, not {known.path}",
            why="its command line says so, by --config-file or by leaving it out",
            cure=f"leave --daemon-json out, or: --daemon-json {shlex.quote(read)}",
        )


def live_restore_obstacle(facts: HostFacts) -> str | None:
    """Why live-restore cannot be switched on for the restart; None when it can, or is on already."""
    flag = flag_of(facts, "live-restore")
    if flag == "false":
        return "dockerd's command line has --live-restore=false"
    if flag is None and facts.engine.swarm:
        return "an engine in a swarm does not take live-restore"
    if facts.engine.pid is None and not facts.engine.live_restore:
        return "dockerd's process was not found, so it cannot be told to reload"
    return None


def _live_restore(facts: HostFacts, spec: Spec) -> Iterator[Refusal]:
    obstacle = live_restore_obstacle(facts)
    if obstacle is not None and not spec.policy.stop_containers:
        yield Refusal(
            code="live-restore",
            what="the containers would stop while the engine restarts",
            why=f"live-restore cannot be had: {obstacle}",
            cure="remove that obstacle, or accept the stop: policy: {stop_containers: true}",
        )


def _bridge_names(facts: HostFacts) -> Iterator[Refusal]:
    """The bridging rules name every bridge: one that no rule can name exactly is found before anything is changed."""
    for network in facts.networks:
        if network.driver == "bridge" and network.bridge and not names.is_exact_interface(network.bridge):
            yield Refusal(
                code="bridge-name",
                what=f"the bridge {network.bridge!r} of network {network.name!r} cannot be named in a firewall rule",
                why="iptables and nft read some of its characters as a pattern or a delimiter",
                cure="give the network another com.docker.network.bridge.name",
            )


NEEDED = ("engine", "daemon_json", "containers", "networks", "firewall", "docker_proxies", "sockets", "namespace")


def unread_refusals(facts: HostFacts) -> Iterator[Refusal]:
    """What a plan rests on and could not be read."""
    for unread in facts.unread:
        if unread.item.startswith(NEEDED):
            yield Refusal(
                code="unread",
                what=f"{unread.item} could not be read",
                why=unread.reason,
                cure="run remedy as root on the host itself, with the programs that the message names",
            )


def pinned_refusal(spec: Spec, facts: HostFacts, name: RulesetName) -> Iterator[Refusal]:
    """The rules of this name are pinned to container addresses, and nothing follows the containers."""
    watcher = facts.systemd.watcher
    if spec.accepts_pinned or spec.watch or (watcher in WATCHING and spec.watch is None):
        return
    yield Refusal(
        code="pinned",
        what=f"{name} rules are pinned to the addresses that the containers have now",
        why="when a container is made again its address may change, and "
        + ("no watcher is installed that follows" if watcher is None else f"remedy-watch.service is {watcher}"),
        cure=(
            "install the watcher, which follows the containers: watch: true in remedy.yaml, or remedy watch --install"
            if watcher is None
            else "see why: journalctl -u remedy-watch; install it anew: remedy watch --install"
        ),
        accepted_by="accept_pinned: true",
    )


def proxy_is_configured(facts: HostFacts) -> bool:
    """The userland proxy that daemon.json (or a flag) gives the engine's next start; the default is on."""
    flag = flag_of(facts, PROXY_FLAG)
    value = configured(facts, PROXY_FLAG)
    return flag != "false" if flag is not None else value is not False
