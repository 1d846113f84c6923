"""Running programs inside a lab host or the external machine: argument lists for nsenter, and who is pid 1."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from remedy.lab.cgroups import all_processes, joining, processes
from remedy.lab.layout import Place

_HOST_NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")
_EXTERNAL_NAMESPACES = ("--uts", "--net")
_CLEAN_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}
_PASSED_ON = ("TERM", "COLUMNS", "LINES", "NO_COLOR")


def init_pid(place: Place) -> int | None:
    """The first process of a host, as the machine numbers it; None when the host does not run.

    It is in the host's cgroup (before systemd moves it) or in its init.scope, and is number 1 one namespace below.
    """
    for directory in (place.machine / "init.scope", place.machine):
        for pid in processes(directory):
            if inner_pids(pid)[1:] == [1]:
                return pid
    return None


def find_process(place: Place, inner_pid: int) -> int | None:
    """The machine's number of a process that the host knows as `inner_pid`."""
    return next((pid for pid in all_processes(place.cgroup) if inner_pids(pid)[1:2] == [inner_pid]), None)


def dismiss_stopped_visitors(place: Place) -> None:
    """End the nsenters that a host's shutdown has stopped.

    systemd stops every process before it kills them; nsenter then stops itself like its child, never reaps it,
    and the host's process namespace waits for that.
    """
    for pid in processes(place.visitors):
        with suppress(ProcessLookupError, FileNotFoundError):
            descriptor = os.pidfd_open(pid)
            try:
                if "State:\tT" in Path(f"/proc/{pid}/status").read_text():
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            finally:
                os.close(descriptor)


def inner_pids(pid: int) -> list[int]:
    """A process's numbers from the machine's namespace inwards; empty when it has gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    line = next((line for line in status.splitlines() if line.startswith("NSpid:")), "NSpid:")
    return [int(word) for word in line.split()[1:]]


def host_command(
    place: Place, pid: int, arguments: Sequence[str], *, environment: dict[str, str] | None = None
) -> list[str]:
    """The command that runs `arguments` inside the host whose init is `pid`; it dies with its caller."""
    return joining(
        place.visitors,
        *("nsenter", f"--target={pid}", *_HOST_NAMESPACES, "--"),
        *("env", "-i", *_variables(_CLEAN_ENVIRONMENT, environment)),
        # Without this a client that is killed (a timeout, kill -9) leaves its program running in the host.
        *("setpriv", "--pdeathsig", "KILL", "--", *arguments),
    )


def external_command(
    place: Place, pid: int, arguments: Sequence[str], *, environment: dict[str, str] | None = None
) -> list[str]:
    """The command that runs a program of the machine on the external machine's network."""
    return joining(
        place.visitors,
        *("nsenter", f"--target={pid}", *_EXTERNAL_NAMESPACES, "--"),
        *("env", *_variables({}, environment), "setpriv", "--pdeathsig", "KILL", "--", *arguments),
    )


def _variables(base: dict[str, str], more: dict[str, str] | None) -> list[str]:
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return [f"{name}={value}" for name, value in {**base, **passed, **(more or {})}.items()]
