"""Letting haproxy's own binary check a configuration, where haproxy runs and as the user that it runs as."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

from remedy.errors import HaproxyError
from remedy.facts.container_files import root_of
from remedy.facts.haproxy import DEFAULT_CONFIG, config_arguments, program_of, working_directory
from remedy.facts.processes import Process, read_environment, read_proc_text
from remedy.haproxy.containers import Containers, Ran
from remedy.haproxy.mirror import Mirror, mirrored, remove_leftovers
from remedy.haproxy.running import RunningHaproxy
from remedy.host.commands import run_command

CHECK_SECONDS = 60.0
# What makes haproxy serve, fork, talk or take over, and has no meaning for a check.
_DROPPED = frozenset({"-W", "-Ws", "-D", "-db", "-d", "-q", "-V", "-v", "-vv", "-c"})
_DROPPED_WITH_VALUE = frozenset({"-x", "-S", "-p"})
_KEPT_WITH_VALUE = frozenset({"-C", "-n", "-N", "-L", "-m"})
# haproxy tells these to itself over a reload; a check that sees them takes itself for the master's next life.
_OWN_VARIABLES = ("HAPROXY_MWORKER", "HAPROXY_PROCESSES", "HAPROXY_STARTUPLOGS_FD", "HAPROXY_LOAD_SUCCESS")
_OF_SYSTEMD = frozenset(
    {"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID"}
)


@dataclass(frozen=True, slots=True)
class Checker:
    """Runs `haproxy -c` as the running haproxy was started."""

    running: RunningHaproxy
    containers: Containers
    container_id: str | None

    def check_running(self) -> None:
        """The configuration as it lies there. Raises HaproxyError with haproxy's words, EngineError, OSError."""
        ran = self._run(check_arguments(self.running.arguments, lambda path: path))
        if ran.status != 0:
            raise HaproxyError(
                "haproxy rejects the configuration that it would load today, so it is left alone",
                why=_last_lines(ran.output),
                next_step="make `haproxy -c` accept the configuration first; nothing was changed",
            )

    def check_candidate(self, contents: Mapping[str, bytes]) -> None:
        """What it would be, by the files' paths as haproxy sees them. Raises as check_running."""
        uid, gid = _owner_of(self.running.pid, "Uid"), _owner_of(self.running.pid, "Gid")
        with root_of(self.running.root_pid) as root, mirrored(root, contents, uid=uid, gid=gid) as mirror:
            ran = self._run(self._candidate_arguments(mirror, contents))
            said = mirror.real_names(ran.output)
        if ran.status != 0:
            raise HaproxyError(
                "haproxy rejects what its configuration would be",
                why=_last_lines(said),
                next_step="nothing was written",
            )

    def _candidate_arguments(self, mirror: Mirror, contents: Mapping[str, bytes]) -> list[str]:
        files, changed_to = config_arguments(self.running.arguments)
        directory = PurePosixPath("/", working_directory(self.running.pid), changed_to or "")
        arguments = check_arguments(
            self.running.arguments, lambda path: _unless_same(path, str(directory / path), mirror, contents)
        )
        return arguments if files else [*arguments, "-f", mirror.path_of(DEFAULT_CONFIG, contents)]

    def _run(self, arguments: Sequence[str]) -> Ran:
        pid = self.running.pid
        command = [self._program(), *arguments]
        directory, environment = working_directory(pid), environment_for_check(pid)
        if self.container_id is not None:
            user = f"{_inside(pid, 'uid_map', _owner_of(pid, 'Uid'))}:{_inside(pid, 'gid_map', _owner_of(pid, 'Gid'))}"
            return self.containers.run(
                self.container_id, command, user=user, directory=directory, environment=environment
            )
        done = run_command(["env", "-C", directory, *command], timeout=CHECK_SECONDS, check=False, env=environment)
        return Ran(done.status, done.stderr + done.stdout)

    def _program(self) -> str:
        with root_of(self.running.root_pid) as root:
            found = program_of(Process(self.running.pid, 0, "haproxy", self.running.arguments), root)
        if found is None:
            raise HaproxyError("haproxy's executable is not found, so nothing can be checked with it")
        return found


def check_arguments(arguments: Sequence[str], replaced: Callable[[str], str]) -> list[str]:
    """The arguments of a check: those that bear on the configuration, its files replaced."""
    return ["-c", *_check_arguments(arguments, replaced)]


def _check_arguments(arguments: Sequence[str], replaced: Callable[[str], str]) -> Iterator[str]:
    waiting = list(reversed(arguments[1:]))
    while waiting:
        option = waiting.pop()
        if option == "--":
            yield option
            yield from (replaced(path) for path in reversed(waiting))
            return
        if option in {"-sf", "-st"}:
            while waiting and waiting[-1].isdigit():
                waiting.pop()
        elif option in _DROPPED_WITH_VALUE:
            waiting = waiting[:-1]
        elif option == "-f" and waiting:
            yield from (option, replaced(waiting.pop()))
        elif option in _KEPT_WITH_VALUE and waiting:
            yield from (option, waiting.pop())
        elif option not in _DROPPED:
            yield option


def environment_for_check(pid: int) -> dict[str, str]:
    """The process's environment without what concerns that process alone."""
    entries = (entry.partition("=") for entry in read_environment(pid))
    return {
        name: value
        for name, _, value in entries
        if name and not name.startswith(_OWN_VARIABLES) and name not in _OF_SYSTEMD
    }


def _unless_same(given: str, path: str, mirror: Mirror, contents: Mapping[str, bytes]) -> str:
    # What does not change stays as it was given, relative to the same directory.
    replaced = mirror.path_of(path, contents)
    return given if replaced == path else replaced


def _owner_of(pid: int, kind: str) -> int:
    """The effective user (Uid) or group (Gid) of a process, as the host numbers them. Raises OSError."""
    line = next(line for line in read_proc_text(pid, "status").splitlines() if line.startswith(f"{kind}:"))
    return int(line.split()[2])


def _inside(pid: int, kind: str, number: int) -> int:
    """The same user or group as the process's own user namespace numbers it."""
    for line in read_proc_text(pid, kind).splitlines():
        inside, outside, count = map(int, line.split())
        if outside <= number < outside + count:
            return inside + number - outside
    return number


def _last_lines(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if "ALERT" in line] or lines
    return "; ".join(telling[-6:])[-1200:] or "it said nothing"


def clean_up(running: RunningHaproxy) -> None:
    """Remove the candidate that a kill in the middle of a check has left. Never fails."""
    with suppress(OSError), root_of(running.root_pid) as root:
        remove_leftovers(root)
