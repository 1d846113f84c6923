"""Starts a prepared host's first process and waits for its Docker engine; ends it as a power cut would."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from pathlib import Path

from remedy.errors import CommandError, LabError
from remedy.host.commands import run_command
from remedy.lab.cgroups import INIT_SCRIPTS, joining, make_place, remove_cgroup
from remedy.lab.layout import Layout, Place
from remedy.lab.namespaces import host_command, init_pid
from remedy.lab.records import HostClaim, HostRecord, external_address4, external_address6
from remedy.lab.switch import switch_pid, unplug

_BOOT = INIT_SCRIPTS / "boot.sh"
_BOOT_TIMEOUT_SECONDS = 60.0


def start_host(layout: Layout, record: HostRecord) -> int:
    """Start the host's first process and wait until Docker answers; the pid of its init."""
    directory = layout.host_directory(record.name)
    place = layout.host_place(record.name)
    switch = switch_pid(layout)
    if switch is None:
        raise LabError("the lab's switch does not run", next_step="remedy lab prune")
    make_place(layout, place)
    namespaces = ["--net", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--propagation=private"]
    gateways = [str(external_address4().ip), str(external_address6().ip)]
    boot = [record.name, str(record.rootfs), port_name(record), f"/proc/{switch}/ns/net", *gateways]
    unshare = ["unshare", *namespaces, "--", "setsid", "--fork", "sh", str(_BOOT), *boot]
    run_command(joining(place.machine, "env", f"--chdir={directory}", *unshare))
    try:
        return _wait_for_docker(place, time.monotonic() + _BOOT_TIMEOUT_SECONDS)
    except (OSError, CommandError) as error:
        why = _console(directory) or str(error)
        raise LabError(f"the lab host {record.name!r} does not start", why=why) from error


def stop_host(layout: Layout, claim: HostClaim) -> None:
    """End the host at once, as a power cut would; its directory stays."""
    remove_cgroup(layout.host_place(claim.name).cgroup)
    unplug(layout, port_name(claim), [str(claim.address4.ip), str(claim.address6.ip)])


def port_name(claim: HostClaim) -> str:
    """The host's port of the switch."""
    return f"host{claim.number}"


def docker_socket(pid: int) -> Path:
    """The engine's socket inside the host, as a path that works from the machine."""
    return Path(f"/proc/{pid}/root/run/docker.sock")


def wait_for_init(place: Place, deadline: float) -> int:
    """The host's init, once it has become systemd; ChildProcessError when it ended before."""
    while True:
        pid = init_pid(place)
        if pid is None:
            raise ChildProcessError("its first process ended")
        if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
            return pid
        if time.monotonic() > deadline:
            raise TimeoutError("systemd did not start in time")
        time.sleep(0.005)


def _wait_for_docker(place: Place, deadline: float) -> int:
    """docker.socket is there long before the engine, so one question waits until the engine answers it."""
    pid = wait_for_init(place, deadline)
    while True:
        with suppress(FileNotFoundError, ConnectionError):
            if _ping(docker_socket(pid), deadline - time.monotonic()):
                return pid
        wait_for_init(place, deadline)
        _check_engine(place, pid)
        time.sleep(0.02)


def _check_engine(place: Place, pid: int) -> None:
    """Raise LabError with the engine's last words when systemd has given it up."""
    state = run_command(host_command(place, pid, ["systemctl", "is-failed", "docker.service"]), check=False)
    if state.status == 0:
        log = ["journalctl", "--boot", "--unit=docker.service", "--identifier=dockerd", "--output=cat", "--lines=3"]
        words = run_command(host_command(place, pid, log), check=False).stdout
        raise LabError("the Docker engine does not start", why=words.strip() or None)


def _ping(path: Path, timeout: float) -> bool:
    if timeout <= 0:
        raise TimeoutError("the Docker engine did not answer in time")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        connection.connect(str(path))
        connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        return connection.recv(64).split(b" ")[1:2] == [b"200"]


def _console(directory: Path) -> str:
    try:
        return (directory / "console.log").read_text(errors="replace").strip()[-2000:]
    except FileNotFoundError:
        return ""
