"""The haproxies of the host, in containers and as services, and the servers that they are configured with."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import PurePosixPath

from remedy.facts.container_files import (
    RegularFile,
    is_directory,
    list_directory,
    opened_below,
    read_with_status,
    root_of,
)
from remedy.facts.container_processes import ContainerProcesses
from remedy.facts.haproxy_config import Reading, parse_config
from remedy.facts.haproxy_files import describe_file
from remedy.facts.haproxy_traits import Traits, has_master_worker_option, master_socket
from remedy.facts.haproxy_version import read_version
from remedy.facts.hosts_file import Names, read_hosts
from remedy.facts.model import Container, HaproxyFacts, HaproxyFile, HaproxyServer
from remedy.facts.processes import Process, is_on_host, read_environment
from remedy.facts.systemd import unit_of
from remedy.facts.unread import reason_of

HAPROXY_PROGRAM = "haproxy"
# The official image's CMD says so; one that was started without -f would not run.
DEFAULT_CONFIG = "/usr/local/etc/haproxy/haproxy.cfg"
MAXIMUM_HAPROXIES = 64
MAXIMUM_BYTES = 4 << 20  # of all files of one haproxy
_OPTIONS_WITH_VALUE = frozenset("CfnNLmpSx")


def read_haproxies(processes: Sequence[Process], containers: Sequence[Container]) -> tuple[HaproxyFacts, ...]:
    """Read the configuration of each running haproxy, and name the containers whose haproxy does not run."""
    # Any container's process may call itself haproxy, as often as it likes.
    masters = list(find_masters(processes))[:MAXIMUM_HAPROXIES]
    processes_of = ContainerProcesses(containers)
    owners = {process.pid: processes_of.owner_of(process.pid, process.parent) for process in masters}
    parents = {process.parent for process in processes if process.program == HAPROXY_PROGRAM}
    read = [_read_haproxy(process, owners[process.pid], has_worker=process.pid in parents) for process in masters]
    found = {facts.container_id for facts in read}
    idle = [_idle(container) for container in containers if _is_haproxy(container) and container.id not in found]
    return tuple(sorted((*read, *idle), key=lambda facts: (facts.container_id or "", facts.pid or 0)))


def find_masters(processes: Sequence[Process]) -> Iterator[Process]:
    """Give each haproxy that is not another one's worker."""
    pids = {process.pid for process in processes if process.program == HAPROXY_PROGRAM}
    for process in processes:
        if process.pid in pids and process.parent not in pids:
            yield process


def config_arguments(arguments: Sequence[str]) -> tuple[list[str], str | None]:
    """Return what follows -f and -- on haproxy's command line, and the directory of -C."""
    files: list[str] = []
    directory: str | None = None
    waiting = list(reversed(arguments[1:]))
    while waiting:
        option = waiting.pop()
        if option == "--":
            return [*files, *reversed(waiting)], directory
        if option in {"-sf", "-st"}:
            # All pids up to the next option.
            while waiting and waiting[-1].isdigit():
                waiting.pop()
        elif len(option) == 2 and option[0] == "-" and option[1] in _OPTIONS_WITH_VALUE and waiting:
            value = waiting.pop()
            if option == "-f":
                files.append(value)
            elif option == "-C":
                directory = value
    return files, directory


def _read_haproxy(process: Process, container: Container | None, *, has_worker: bool) -> HaproxyFacts:
    reading, traits = Reading(), Traits()
    files: list[HaproxyFile] = []
    names: Names = {}
    program = None
    try:
        environment = _environment_of(process)
        with root_of(_pid_with_root(process, container)) as root:
            program = program_of(process, root)
            for argument in _config_paths(process):
                for path, file in _read_config(root, argument, reading):
                    files.append(describe_file(path, file, container))
                    text = file.content.decode(errors="replace")
                    parse_config(text, path, environment, reading)
                    traits.read(text, environment)
            names = read_hosts(root)
    except (OSError, ValueError) as error:
        reading.complain(reason_of(error))
    return HaproxyFacts(
        container_id=container.id if container else None,
        unit=None if container else unit_of(process.pid),
        config_files=tuple(file.path for file in files),
        servers=tuple(with_addresses(server, names) for server in reading.servers),
        problem="; ".join(reading.problems) or None,
        pid=process.pid,
        files=tuple(files),
        program=program,
        arguments=tuple(as_text(argument) for argument in process.arguments),
        working_directory=as_text(working_directory(process.pid)),
        # The option alone is not enough: one that failed to start its worker serves nothing.
        is_master_worker=has_worker and (traits.is_master_worker or has_master_worker_option(process.arguments)),
        master_socket=master_socket(process.arguments),
        sockets=tuple(traits.sockets),
        hard_stop_after=traits.hard_stop_after,
        version=read_version(process.pid),
    )


def with_addresses(server: HaproxyServer, names: Names) -> HaproxyServer:
    """Fill in what /etc/hosts says of the server's name."""
    addresses = names.get(server.host.lower())
    return server.model_copy(update={"addresses": addresses}) if addresses else server


def _read_config(root: int, path: str, reading: Reading) -> Iterator[tuple[str, RegularFile]]:
    """Read one file, or the files named *.cfg of a directory in haproxy's order; give each with its name."""
    try:
        for name in _files_of(root, path):
            file = read_with_status(root, name, MAXIMUM_BYTES - reading.bytes_read)
            reading.bytes_read += len(file.content)
            yield as_text(name), file
    except (OSError, ValueError) as error:
        reading.complain(reason_of(error))


def as_text(name: str) -> str:
    """A name from a container: what is no text must not spoil the facts file."""
    return name.encode(errors="replace").decode()


def program_of(process: Process, root: int) -> str | None:
    """The executable as its own root shows it, None where that cannot be told.

    The kernel shows it without the mount that it lies on, if that is not the root's own; then haproxy was most likely
    started by its whole path. A package's upgrade replaces the file of a program that runs.
    """
    try:
        shown = os.readlink(f"/proc/{process.pid}/exe").removesuffix(" (deleted)")  # noqa: PTH115
    except OSError:
        shown = ""
    for path in (shown, *process.arguments[:1]):
        if path.startswith("/"):
            with suppress(OSError), opened_below(root, path):
                return as_text(path)
    return None


def _pid_with_root(process: Process, container: Container | None) -> int:
    # haproxy itself may sit in a chroot where its configuration is not.
    if container is not None:
        return container.pid
    return os.getpid() if is_on_host(process.pid) else process.pid


def _config_paths(process: Process) -> list[str]:
    files, changed_to = config_arguments(process.arguments)
    directory = PurePosixPath("/", working_directory(process.pid), changed_to or "")
    return [str(directory / file) for file in files or [DEFAULT_CONFIG]]


def _files_of(root: int, path: str) -> list[str]:
    if not is_directory(root, path):
        return [path]
    names = list_directory(root, path)
    return [f"{path}/{name}" for name in names if name.endswith(".cfg") and not name.startswith(".")]


def working_directory(pid: int) -> str:
    """Return a process's directory as it sees it itself. The kernel shows it relative to the process's root."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")  # noqa: PTH115
    except OSError:
        return "/"


def _environment_of(process: Process) -> Mapping[str, str]:
    # Of the process, not of the container's configuration: entrypoints export more. Not kept.
    return dict(entry.partition("=")[::2] for entry in read_environment(process.pid))


def _is_haproxy(container: Container) -> bool:
    words = (*container.entrypoint, *container.command)
    return any(PurePosixPath(word).name == HAPROXY_PROGRAM for word in words)


def _idle(container: Container) -> HaproxyFacts:
    state = "no haproxy process was found in it" if container.is_running else f"the container is {container.state}"
    return HaproxyFacts(
        container_id=container.id,
        unit=None,
        config_files=(),
        servers=(),
        problem=f"{state}: its configuration was not read",
    )
