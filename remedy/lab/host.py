"""A running lab host, as a test or a script uses it: run programs in it, read and write its files, ask its engine."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from remedy.errors import LabError
from remedy.host.commands import DEFAULT_TIMEOUT_SECONDS, Completed, run_command
from remedy.lab.boot import docker_socket
from remedy.lab.inner_paths import resolve_inside
from remedy.lab.layout import Layout, Place
from remedy.lab.namespaces import external_command, find_process, host_command, init_pid
from remedy.lab.records import HostRecord, external_address4, external_address6, started_ticks
from remedy.lab.switch import external_pid

if TYPE_CHECKING:
    import docker

_Stream = int | IO[Any] | None


class External:
    """The external machine on the lab's LAN: the machine's file system, a network and a hostname of its own."""

    name = "external"

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    @property
    def address(self) -> str:
        """Its IPv4 address, 10.98.0.1: also the hosts' default gateway."""
        return str(external_address4().ip)

    @property
    def address6(self) -> str:
        """Its IPv6 address."""
        return str(external_address6().ip)

    @property
    def pid(self) -> int:
        """The process that holds its namespaces; LabError when the lab has no host."""
        pid = external_pid(self.layout)
        if pid is None:
            raise LabError("the external machine does not run", next_step="remedy lab up")
        return pid

    @property
    def netns_path(self) -> Path:
        """Its network namespace, for setns."""
        return Path(f"/proc/{self.pid}/ns/net")

    def command(self, arguments: Sequence[str], env: Mapping[str, str] | None = None) -> list[str]:
        """The argument list that runs a program on it, for whoever starts it in a way of their own."""
        return external_command(self.layout.external_place, self.pid, arguments, environment=dict(env or {}))

    def run(
        self,
        arguments: Sequence[str],
        *,
        stdin: str | bytes | None = None,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        check: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run one of the machine's programs on it; errors as `run_command`."""
        return run_command(self.command(arguments, env), stdin=stdin, timeout=timeout, check=check)

    def popen(
        self,
        arguments: Sequence[str],
        *,
        stdin: _Stream = subprocess.DEVNULL,
        stdout: _Stream = None,
        stderr: _Stream = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program on it without waiting; killing the returned process ends it."""
        return subprocess.Popen(self.command(arguments, env), stdin=stdin, stdout=stdout, stderr=stderr)


class Host:
    """One lab host. Everything is looked up when it is asked for, so the object stays right across reboots."""

    def __init__(self, layout: Layout, record: HostRecord) -> None:
        self.layout = layout
        self.record = record
        self._init: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return f"Host({self.name!r}, engine={self.engine!r}, firewall={self.firewall!r})"

    @property
    def name(self) -> str:
        """Its name, which is also its hostname."""
        return self.record.name

    @property
    def engine(self) -> str:
        """20.10, 26.1 or 28.5: the engine of its root file system."""
        return self.record.engine

    @property
    def firewall(self) -> str:
        """Which variant the iptables commands are: nft or legacy."""
        return self.record.firewall

    @property
    def address(self) -> str:
        """The IPv4 address of eth0."""
        return str(self.record.address4.ip)

    @property
    def address6(self) -> str:
        """The IPv6 address of eth0."""
        return str(self.record.address6.ip)

    @property
    def place(self) -> Place:
        """Its cgroups on the machine."""
        return self.layout.host_place(self.name)

    @property
    def external(self) -> External:
        """The external machine of the host's lab."""
        return External(self.layout)

    @property
    def is_running(self) -> bool:
        """Whether its init runs."""
        return self._find_init() is not None

    @property
    def init_pid(self) -> int:
        """Its init, as the machine numbers processes; LabError when the host does not run."""
        pid = self._find_init()
        if pid is None:
            raise LabError(f"the lab host {self.name!r} does not run", next_step=f"remedy lab reboot {self.name}")
        return pid

    @property
    def root(self) -> Path:
        """Its root directory, seen from the machine. Absolute links below it lead astray: see `path_of`."""
        return Path(f"/proc/{self.init_pid}/root")

    @property
    def netns_path(self) -> Path:
        """Its network namespace, for setns or `nsenter --net=`."""
        return Path(f"/proc/{self.init_pid}/ns/net")

    @property
    def docker_socket(self) -> Path:
        """The engine's socket, usable from the machine: DOCKER_HOST=unix://..."""
        return docker_socket(self.init_pid)

    def command(self, arguments: Sequence[str], env: Mapping[str, str] | None = None) -> list[str]:
        """The argument list that runs a program inside, for whoever starts it in a way of their own."""
        return host_command(self.place, self.init_pid, arguments, environment=dict(env or {}))

    def run(
        self,
        arguments: Sequence[str],
        *,
        stdin: str | bytes | None = None,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        check: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run a program inside all namespaces of the host, as root, with a clean environment.

        Raises CommandError when it fails (unless check is False) or takes more than `timeout` seconds; it is
        killed then.
        """
        return run_command(self.command(arguments, env), stdin=stdin, timeout=timeout, check=check)

    def popen(
        self,
        arguments: Sequence[str],
        *,
        stdin: _Stream = subprocess.DEVNULL,
        stdout: _Stream = None,
        stderr: _Stream = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program inside without waiting; killing the returned process ends the program too."""
        return subprocess.Popen(self.command(arguments, env), stdin=stdin, stdout=stdout, stderr=stderr)

    def path_of(self, path: str) -> Path:
        """Where a path of the host is, seen from the machine; links are followed as the host would."""
        return resolve_inside(self.root, path)

    def read_file(self, path: str) -> bytes:
        """The content of a file of the host; FileNotFoundError when there is none."""
        return self.path_of(path).read_bytes()

    def write_file(self, path: str, content: bytes | str, mode: int | None = None) -> None:
        """Write a file in place (same inode, as bind mounts need), making its directories."""
        target = self.path_of(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        if mode is not None:
            target.chmod(mode)

    def docker(self, timeout: float = 60.0) -> docker.DockerClient:
        """A client of the host's engine. Close it when done; after a reboot ask for a new one."""
        import docker

        return docker.DockerClient(base_url=f"unix://{self.docker_socket}", timeout=int(timeout))

    def container_pid(self, name: str) -> int:
        """The main process of a running container, as the machine numbers processes."""
        client = self.docker()
        try:
            inner = int(client.api.inspect_container(name)["State"]["Pid"])
        finally:
            client.close()
        pid = find_process(self.place, inner) if inner else None
        if pid is None:
            raise LabError(f"the container {name!r} does not run", where=self.name)
        return pid

    def reboot(self, *, hard: bool = False) -> None:
        """Shut down (or cut the power, with `hard`) and start again: disks stay; rules, sysctls, processes go."""
        from remedy.lab.lifecycle import reboot_host

        reboot_host(self.layout, self.name, hard=hard)
        self._init = None

    def down(self) -> None:
        """Remove the host with everything on it; nothing to do when it has gone already."""
        from remedy.lab.lifecycle import take_down

        if self.layout.host_directory(self.name).exists():
            take_down(self.layout, self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def _find_init(self) -> int | None:
        if self._init is not None and started_ticks(self._init[0]) == self._init[1]:
            return self._init[0]
        pid = init_pid(self.place)
        ticks = started_ticks(pid) if pid is not None else None
        self._init = None if pid is None or ticks is None else (pid, ticks)
        return pid
