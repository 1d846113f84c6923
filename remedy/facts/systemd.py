"""What systemd says of the engine's service, above all how close it is to its start limit."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from remedy.facts.model import SystemdFacts
from remedy.facts.processes import read_proc_text
from remedy.host.commands import run_command

DEFAULT_UNIT = "docker.service"
WATCHER_UNIT = "remedy-watch.service"  # as remedy.watch.unit installs it
PRIVATE_PLACES = ("/tmp", "/var/tmp")  # noqa: S108 (what a service with PrivateTmp does not see: systemd.exec(5))
RUNNING_MARK = Path("/run/systemd/system")  # sd_booted(3)
_PROPERTIES = (
    "Id",
    "ActiveState",
    "SubState",
    "Result",
    "NRestarts",
    "StartLimitBurst",
    "StartLimitIntervalUSec",
    "MainPID",
    "LoadState",
)
_UNITS_IN_SECONDS = {
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
    "days": 86400.0,
    "w": 604800.0,
    "week": 604800.0,
    "weeks": 604800.0,
}


def read_systemd(engine_pid: int | None) -> SystemdFacts:
    """Ask systemd for the unit that the engine runs in, docker.service where that cannot be told."""
    if not RUNNING_MARK.is_dir():
        return SystemdFacts(available=False)
    unit = (unit_of(engine_pid) if engine_pid else None) or DEFAULT_UNIT
    return parse_show(
        run_command(["systemctl", "show", unit, WATCHER_UNIT, "--property", ",".join(_PROPERTIES)]).stdout
    )


def unseen_place(path: str) -> str | None:
    """The directory because of which a service with PrivateTmp does not see this whole path; None: it does."""
    return next((place for place in PRIVATE_PLACES if PurePosixPath(path).is_relative_to(place)), None)


def unit_of(pid: int) -> str | None:
    """Return the system service that a process runs in, by its cgroup."""
    try:
        return parse_unit(read_proc_text(pid, "cgroup"))
    except OSError:
        return None


def parse_unit(cgroups: str) -> str | None:
    """Read /proc/PID/cgroup: the innermost *.service of systemd's own hierarchy."""
    for line in cgroups.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" or controllers == "name=systemd":
            services = [part for part in path.split("/") if part.endswith(".service")]
            # Below user@1000.service are units of that user's own manager, which a rootless engine runs under.
            if services and not services[0].startswith("user@"):
                return services[-1]
    return None


def parse_show(output: str) -> SystemdFacts:
    """Read the KEY=VALUE lines of `systemctl show` for the engine's unit and, after an empty line, the watcher's."""
    engine, _, watcher = output.partition("\n\n")
    values = _values(engine)
    return SystemdFacts(
        available=True,
        unit=values.get("Id") or None,
        active_state=values.get("ActiveState") or None,
        sub_state=values.get("SubState") or None,
        result=values.get("Result") or None,
        n_restarts=_number(values.get("NRestarts")),
        start_limit_burst=_number(values.get("StartLimitBurst")),
        start_limit_interval_seconds=parse_time_span(values.get("StartLimitIntervalUSec", "")),
        main_pid=_number(values.get("MainPID")) or None,
        watcher=_state_of(_values(watcher)),
    )


def _values(block: str) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)


def _state_of(values: dict[str, str]) -> str | None:
    return None if values.get("LoadState") != "loaded" else values.get("ActiveState") or None


def parse_time_span(text: str) -> float | None:
    """Read a time span as systemd prints it: "1min 30s", "10s", "0"; None for "infinity" and what is no span."""
    if text == "0":
        return 0.0
    parts = re.findall(r"([\d.]+)([a-z]+)", text)
    if not parts or any(unit not in _UNITS_IN_SECONDS for _, unit in parts):
        return None
    return sum(float(number) * _UNITS_IN_SECONDS[unit] for number, unit in parts)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None
