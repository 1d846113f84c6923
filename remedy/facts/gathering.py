"""gather(): the whole observed state of the host, read side by side.

Order follows need: the engine and /proc first; then every namespace, the rules and the bridges; last what
can only be told from all of these, such as whose connections go through a published port.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from remedy import __version__
from remedy.facts.answers import EngineAnswers, ask_engine
from remedy.facts.bridges import parse_bridge_ports, with_containers
from remedy.facts.compose_files import read_compose_projects
from remedy.facts.conntrack import read_conntrack
from remedy.facts.daemon_json import read_daemon_json
from remedy.facts.engine import (
    ENGINE_PROGRAM,
    EngineProcess,
    ProxyWitnesses,
    find_engine_process,
    find_proxy_setting,
    parse_engine,
)
from remedy.facts.engine_api import endpoint_of, is_local
from remedy.facts.engine_rules import ACCEPTS_BYTE_ORDER_MARK, flag_value
from remedy.facts.firewall import choose_backend, proxy_witnesses, read_firewall
from remedy.facts.haproxy import HAPROXY_PROGRAM, read_haproxies
from remedy.facts.identity import parse_remote_identity, read_identity
from remedy.facts.interest import Interest, haproxy_targets, published_ports, published_targets
from remedy.facts.model import (
    Address,
    BridgePort,
    ConntrackFacts,
    DaemonJson,
    EngineFacts,
    FirewallFacts,
    HaproxyFacts,
    HostFacts,
    NetNamespace,
    Network,
    Protocol,
    SystemdFacts,
)
from remedy.facts.namespaces import Contents, describe, find_places, read_places
from remedy.facts.networks import with_bridge_addresses
from remedy.facts.processes import Process, find_processes, is_on_host
from remedy.facts.proxies import PROXY_PROGRAM, read_proxies
from remedy.facts.sysctls import read_sysctls
from remedy.facts.systemd import read_systemd
from remedy.facts.unread import Notes
from remedy.frozen import make_validators
from remedy.host.namespaces import network_namespace_inode

DEFAULT_DAEMON_JSON = "/etc/docker/daemon.json"
FIREWALLD_PROGRAM = "firewalld"
_WORKERS = 8
_NO_CONNTRACK = ConntrackFacts(count=None, maximum=None, buckets=None, entries=(), entries_complete=False)
_HOST_ITEMS = (
    "daemon.json",
    "engine process",
    "docker-proxy processes",
    "namespaces",
    "bridge ports",
    "firewall",
    "sysctls",
    "conntrack",
    "haproxies",
    "systemd",
)


@dataclass(frozen=True, slots=True)
class _Started:
    """What is being read while the namespaces are."""

    firewall: Future[FirewallFacts]
    systemd: Future[SystemdFacts]
    haproxies: Future[tuple[HaproxyFacts, ...]]


@dataclass(frozen=True, slots=True)
class _NetworkState:
    """What the kernel says of the network."""

    namespaces: tuple[NetNamespace, ...]
    bridge_ports: tuple[BridgePort, ...]
    sysctls: dict[str, str]
    conntrack: ConntrackFacts


def gather(socket: str | None = None, daemon_json_path: str | Path = DEFAULT_DAEMON_JSON) -> HostFacts:
    """Read everything about the host that remedy runs on. Changes nothing.

    socket: the engine's endpoint (a path or URL), default DOCKER_HOST, then /var/run/docker.sock.
    daemon_json_path: where it is the usual one and the engine was started with --config-file, that file is read.
    What cannot be read is named in `unread`. Raises EngineError when the engine does not answer,
    PermissionNeededError when its socket may not be used.
    """
    started = time.monotonic()
    make_validators()  # its threads use them
    endpoint = endpoint_of(socket)
    notes = Notes()
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="remedy-facts") as pool:
        if is_local(endpoint):
            facts = _gather_local(endpoint, str(daemon_json_path), pool, notes)
        else:
            facts = _gather_remote(endpoint, str(daemon_json_path), pool, notes)
    return facts.model_copy(update={"gather_seconds": round(time.monotonic() - started, 3), "unread": notes.sorted()})


def _gather_local(endpoint: str, daemon_json_path: str, pool: Executor, notes: Notes) -> HostFacts:
    programs = (ENGINE_PROGRAM, PROXY_PROGRAM, HAPROXY_PROGRAM, FIREWALLD_PROGRAM)
    found = pool.submit(notes.attempt, "processes", (), partial(find_processes, programs))
    engine = ask_engine(endpoint, pool, notes)
    processes = found.result()
    process = find_engine_process(engine.listener_pid, _named(processes, ENGINE_PROGRAM))
    _note_gaps(engine, process, notes)
    started = _start_reading(engine, process, processes, pool, notes)

    haproxies = started.haproxies.result()
    network = _read_network_state(engine, haproxies, processes, pool, notes)
    daemon_json = _read_daemon_json(_config_file(daemon_json_path, process), notes)
    if process is not None and not _is_read_by(process, daemon_json):
        daemon_json = daemon_json.model_copy(update={"is_the_engines": False})
    proxies = read_proxies(_named(processes, PROXY_PROGRAM), process.pid if process else None)
    firewall = started.firewall.result()
    witnesses = ProxyWitnesses(process, daemon_json, proxies, engine.containers, proxy_witnesses(firewall))
    proxy = find_proxy_setting(engine.info, witnesses)
    engine_facts = parse_engine(engine.info, process, daemon_json, proxy, endpoint)
    return HostFacts(
        remedy_version=__version__,
        gathered_at=datetime.now(UTC),
        gather_seconds=0.0,
        host=read_identity(),
        engine=engine_facts,
        daemon_json=_for_engine(daemon_json, engine_facts),
        systemd=started.systemd.result(),
        containers=engine.containers,
        networks=_with_gateways(engine.networks, network.namespaces),
        docker_proxies=proxies,
        namespaces=network.namespaces,
        bridge_ports=network.bridge_ports,
        firewall=firewall,
        sysctls=network.sysctls,
        conntrack=network.conntrack,
        haproxies=haproxies,
        compose_projects=notes.attempt("compose files", (), partial(read_compose_projects, engine.containers)),
    )


def _read_network_state(
    engine: EngineAnswers, haproxies: Sequence[HaproxyFacts], processes: Sequence[Process], pool: Executor, notes: Notes
) -> _NetworkState:
    """Read every namespace, then what needs to be told whose connections count."""
    targets = published_targets(engine.containers) | haproxy_targets(haproxies, engine.containers)
    interest = Interest(published_ports(engine.containers), targets=targets)
    places = notes.attempt("namespaces", (), partial(find_places, engine.containers, notes))
    contents = read_places(places, interest.ports, pool, notes)
    interest = replace(interest, host_addresses=_host_addresses(contents))
    sysctls = read_sysctls(_interfaces(contents))
    conntrack = pool.submit(notes.attempt, "conntrack", _NO_CONNTRACK, partial(read_conntrack, sysctls, interest))
    first = [process.pid for process in processes]
    namespaces = notes.attempt("namespaces", (), partial(describe, contents, interest, first, notes))
    bridge_ports = notes.attempt(
        "bridge ports", (), lambda: with_containers(_bridge_ports(contents), namespaces, engine.containers)
    )
    return _NetworkState(namespaces, bridge_ports, sysctls, conntrack.result())


def _note_gaps(engine: EngineAnswers, process: EngineProcess | None, notes: Notes) -> None:
    """Say what this way of reading cannot see."""
    if process is None:
        notes.add("engine process", "no process of this host serves the socket: is the engine in another one?")
    elif notes.attempt("engine process", False, partial(_has_own_network, process.pid)):
        notes.add("engine process", "it has a network namespace of its own (rootless): its rules are not read")
    if any(port.protocol is Protocol.SCTP for container in engine.containers for port in container.ports):
        notes.add("SCTP sockets", "only TCP and UDP sockets are read")


def _has_own_network(pid: int) -> bool:
    return network_namespace_inode(pid) != network_namespace_inode()


def _config_file(path: str, process: EngineProcess | None) -> str:
    """Return the file that the engine reads, unless another than the usual one was asked for."""
    flag = flag_value(process.command_line, "config-file") if process else None
    return flag if flag is not None and path == DEFAULT_DAEMON_JSON else path


def _is_read_by(process: EngineProcess, daemon_json: DaemonJson) -> bool:
    """Whether this is the file that the engine reads, by this name or another."""
    engines = flag_value(process.command_line, "config-file") or DEFAULT_DAEMON_JSON
    return os.path.realpath(engines) == os.path.realpath(daemon_json.path)


def _start_reading(
    engine: EngineAnswers, process: EngineProcess | None, processes: Sequence[Process], pool: Executor, notes: Notes
) -> _Started:
    """Start what needs no more than the engine's answers and its process."""
    programs = [one.program for one in processes if is_on_host(one.pid)]
    haproxies = partial(read_haproxies, _named(processes, HAPROXY_PROGRAM), engine.containers)
    systemd = partial(read_systemd, process.pid if process else None)
    firewall = partial(read_firewall, engine.info, process, programs, notes)
    return _Started(
        firewall=pool.submit(notes.attempt, "firewall", _no_firewall(engine), firewall),
        systemd=pool.submit(notes.attempt, "systemd", SystemdFacts(available=False), systemd),
        haproxies=pool.submit(notes.attempt, "haproxies", (), haproxies),
    )


def _gather_remote(endpoint: str, daemon_json_path: str, pool: Executor, notes: Notes) -> HostFacts:
    """Read what an engine on another host tells; nothing of this host must be mistaken for it."""
    answers = ask_engine(endpoint, pool, notes)
    for item in _HOST_ITEMS:
        notes.add(item, f"the engine is on another host ({endpoint})")
    daemon_json = DaemonJson(path=daemon_json_path, exists=False, problem="not read: it is on another host")
    proxy = find_proxy_setting(answers.info, ProxyWitnesses(None, daemon_json, containers=answers.containers))
    return HostFacts(
        remedy_version=__version__,
        gathered_at=datetime.now(UTC),
        gather_seconds=0.0,
        host=parse_remote_identity(answers.info),
        engine=parse_engine(answers.info, None, daemon_json, proxy, endpoint),
        daemon_json=daemon_json,
        systemd=SystemdFacts(available=False),
        containers=answers.containers,
        networks=answers.networks,
        docker_proxies=(),
        namespaces=(),
        bridge_ports=(),
        firewall=_no_firewall(answers),
        sysctls={},
        conntrack=_NO_CONNTRACK,
        haproxies=(),
    )


def _no_firewall(engine: EngineAnswers) -> FirewallFacts:
    backend = choose_backend(engine.info, None)
    return FirewallFacts(
        backend=backend.kind,
        backend_evidence=backend.evidence,
        iptables_version=None,
        nft_version=None,
        tables=(),
        nft_tables=(),
    )


def _read_daemon_json(path: str, notes: Notes) -> DaemonJson:
    unknown = DaemonJson(path=path, exists=True, problem="it could not be read")
    return notes.attempt("daemon.json", unknown, partial(read_daemon_json, path))


def _for_engine(daemon_json: DaemonJson, engine: EngineFacts) -> DaemonJson:
    if daemon_json.has_bom and daemon_json.problem is None and engine.version_tuple < ACCEPTS_BYTE_ORDER_MARK:
        problem = f"it begins with a byte order mark, which engine {engine.version} refuses"
        return daemon_json.model_copy(update={"problem": problem})
    return daemon_json


def _named(processes: Sequence[Process], program: str) -> list[Process]:
    return [process for process in processes if process.program == program]


def _host_addresses(contents: Sequence[Contents]) -> frozenset[Address]:
    return frozenset(found.address.ip for read in contents if read.place.is_host for found in read.addressing.addresses)


def _interfaces(contents: Sequence[Contents]) -> list[str]:
    """Return the host's interfaces whose settings count: all but the ports of bridges."""
    return [link.name for read in contents if read.place.is_host for link in read.addressing.links if not link.master]


def _bridge_ports(contents: Sequence[Contents]) -> list[BridgePort]:
    return [port for read in contents if read.place.is_host for port in parse_bridge_ports(read.addressing.raw_links)]


def _with_gateways(networks: Sequence[Network], namespaces: Sequence[NetNamespace]) -> tuple[Network, ...]:
    addresses = [found for namespace in namespaces if namespace.is_host for found in namespace.addresses]
    return tuple(with_bridge_addresses(network, addresses) for network in networks)
