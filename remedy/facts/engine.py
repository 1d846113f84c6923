"""The engine itself: `docker info`, dockerd's process, and whether it runs docker-proxy for published ports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from remedy.facts import engine_rules
from remedy.facts.model import Container, DaemonJson, DockerProxy, EngineFacts
from remedy.facts.processes import Process, read_environment, read_process, read_start_time
from remedy.facts.secrets import looks_secret

ENGINE_PROGRAM = "dockerd"
PID_FILE = Path("/run/docker.pid")
# Known to matter for networking, and known to carry passwords: that they are set is all we keep.
_NAME_ONLY = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"})


@dataclass(frozen=True, slots=True)
class EngineProcess:
    """dockerd as /proc shows it."""

    pid: int
    command_line: tuple[str, ...]
    environment: dict[str, str]
    started_at: datetime | None


@dataclass(frozen=True, slots=True)
class ProxySetting:
    """Whether docker-proxy is in effect (None: could not be told), and what says so."""

    enabled: bool | None
    evidence: str


@dataclass(frozen=True, slots=True)
class ProxyWitnesses:
    """What tells the effective setting of an engine that does not say it itself.

    output_jumps: what each family's nat OUTPUT jump says (engine_rules.proxy_by_output_jump).
    """

    process: EngineProcess | None
    daemon_json: DaemonJson
    proxies: Sequence[DockerProxy] = ()
    containers: Sequence[Container] = ()
    output_jumps: Sequence[bool] = ()


def find_engine_process(listener_pid: int | None, candidates: Sequence[Process]) -> EngineProcess | None:
    """Find dockerd: who listens on its socket, else its pid file, else the only process of that name."""
    process = _dockerd(listener_pid) or _dockerd(_pid_of_file())
    if process is None and len(candidates) == 1:
        process = candidates[0]
    return None if process is None else _read_engine_process(process)


def parse_engine(
    info: dict[str, Any],
    process: EngineProcess | None,
    daemon_json: DaemonJson,
    proxy: ProxySetting,
    endpoint: str,
) -> EngineFacts:
    """Put together what `docker info`, the process and daemon.json say."""
    version = str(info.get("ServerVersion", ""))
    security_options = tuple(str(option) for option in info.get("SecurityOptions") or ())
    swarm = info.get("Swarm") or {}
    return EngineFacts(
        version=version,
        version_tuple=engine_rules.parse_version(version),
        pid=process.pid if process else None,
        command_line=process.command_line if process else (),
        environment=process.environment if process else {},
        started_at=process.started_at if process else None,
        live_restore=bool(info.get("LiveRestoreEnabled")),
        userland_proxy=proxy.enabled,
        userland_proxy_evidence=proxy.evidence,
        swarm=swarm.get("LocalNodeState", "inactive") not in {"", "inactive"},
        rootless=any(option.split(",")[0] == "name=rootless" for option in security_options),
        iptables=configured_flag("iptables", process, daemon_json) is not False,
        ip6tables=_ip6tables(engine_rules.parse_version(version), process, daemon_json),
        experimental=bool(info.get("ExperimentalBuild")),
        socket=endpoint,
        security_options=security_options,
        cgroup_driver=info.get("CgroupDriver"),
    )


def configured_flag(name: str, process: EngineProcess | None, daemon_json: DaemonJson) -> bool | None:
    """Return a boolean setting as flag or in daemon.json (the engine refuses both), None when in neither."""
    flag = engine_rules.flag_value(process.command_line, name) if process else None
    if flag is not None:
        return engine_rules.flag_is_true(flag)
    value = (daemon_json.parsed or {}).get(name)
    return value if isinstance(value, bool) else None


def find_proxy_setting(info: dict[str, Any], witnesses: ProxyWitnesses) -> ProxySetting:
    """Tell the effective userland-proxy setting from the best witness there is."""
    version = engine_rules.parse_version(str(info.get("ServerVersion", "")))
    backend = info.get("FirewallBackend") or {}
    if version >= engine_rules.REPORTS_USERLAND_PROXY and backend:
        pairs = {str(pair[0]): str(pair[1]) for pair in backend.get("Info") or () if len(pair) == 2}
        return ProxySetting(
            pairs.get("EnableUserlandProxy") == "true", "docker info: FirewallBackend EnableUserlandProxy"
        )
    if witnesses.proxies:
        return ProxySetting(True, f"{len(witnesses.proxies)} docker-proxy processes of this engine")
    jumps = set(witnesses.output_jumps)
    if len(jumps) == 1:
        enabled = jumps.pop()
        told = "excludes" if enabled else "includes"
        return ProxySetting(enabled, f"nat OUTPUT's jump to DOCKER {told} loopback")
    published = [container.name for container in witnesses.containers if container.ports]
    if published and witnesses.process is not None:
        return ProxySetting(False, f"no docker-proxy process, though {published[0]} publishes a port")
    return _proxy_by_configuration(witnesses.process, witnesses.daemon_json)


def _proxy_by_configuration(process: EngineProcess | None, daemon_json: DaemonJson) -> ProxySetting:
    flag = engine_rules.flag_value(process.command_line, "userland-proxy") if process else None
    if flag is not None:
        return ProxySetting(engine_rules.flag_is_true(flag), f"dockerd runs with --userland-proxy={flag}")
    started = process.started_at if process else None
    if started is None or (daemon_json.mtime is not None and daemon_json.mtime >= started):
        return ProxySetting(None, "no process, rule or flag tells, and daemon.json may be newer than the engine")
    if daemon_json.problem is not None and daemon_json.parsed is None:
        return ProxySetting(None, f"no process, rule or flag tells, and daemon.json: {daemon_json.problem}")
    value = (daemon_json.parsed or {}).get("userland-proxy")
    if isinstance(value, bool):
        return ProxySetting(value, "daemon.json, unchanged since the engine started")
    return ProxySetting(True, "the default: neither a flag nor daemon.json says otherwise")


def _ip6tables(version: engine_rules.Version, process: EngineProcess | None, daemon_json: DaemonJson) -> bool | None:
    configured = configured_flag("ip6tables", process, daemon_json)
    return version >= engine_rules.IP6TABLES_BY_DEFAULT if configured is None else configured


def _dockerd(pid: int | None) -> Process | None:
    process = read_process(pid) if pid else None
    if process is None or not process.arguments:
        return None
    return process if PurePosixPath(process.arguments[0]).name == ENGINE_PROGRAM else None


def _pid_of_file() -> int | None:
    try:
        return int(PID_FILE.read_text())
    except (OSError, ValueError):
        return None


def _read_engine_process(process: Process) -> EngineProcess:
    try:
        environment = read_environment(process.pid)
    except OSError:
        environment = ()
    return EngineProcess(
        process.pid, process.arguments, networking_environment(environment), read_start_time(process.pid)
    )


def networking_environment(environment: Sequence[str]) -> dict[str, str]:
    """Keep of dockerd's environment what bears on networking, without values that may be secret."""
    kept = {}
    for entry in environment:
        name, _, value = entry.partition("=")
        if name in _NAME_ONLY or (name.startswith("DOCKER_") and looks_secret(name)):
            kept[name] = ""
        elif name == "PATH" or name.startswith("DOCKER_"):
            kept[name] = value
    return kept
