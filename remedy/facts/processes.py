"""Processes of the host, from /proc: those with a wanted name, and what /proc says of one of them."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
_LONGEST_EXEC = 1.0  # seconds; it takes microseconds, and more on a machine that swaps
_PAUSE = 0.001
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD, include/linux/sched.h


@dataclass(frozen=True, slots=True)
class Process:
    """A process and the command line that it was started with."""

    pid: int
    parent: int
    program: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProgramImage:
    """The arguments and environment of one program, NULs between them, as the kernel gave them to it."""

    command_line: bytes
    environment: bytes


def find_processes(programs: Collection[str]) -> tuple[Process, ...]:
    """Return all processes whose name (comm, at most 15 characters) is one of `programs`, by pid."""
    found = (_read_if_named(pid, programs) for pid in process_ids())
    return tuple(process for process in found if process is not None)


def process_ids() -> list[int]:
    """Return the ids of all processes, in ascending order."""
    return sorted(int(name) for name in os.listdir(PROC) if name.isdigit())  # noqa: PTH208


def read_process(pid: int) -> Process | None:
    """Return one process, None when it is gone or a kernel thread's remains."""
    deadline = time.monotonic() + _LONGEST_EXEC
    try:
        while True:
            program = read_proc_text(pid, "comm").rstrip("\n")
            stat = read_proc_text(pid, "stat")
            arguments = split_arguments(read_proc_bytes(pid, "cmdline"))
            # The name is the new program's already when its arguments are not there yet.
            if arguments or not _may_become_a_program(stat) or time.monotonic() > deadline:
                return Process(pid, parse_parent(stat), program, arguments)
            time.sleep(_PAUSE)
    except OSError:
        return None


def read_image(pid: int) -> ProgramImage:
    """Read /proc/PID/cmdline and environ of one and the same program. Raises OSError.

    While a process becomes another program (execve; haproxy's master does, at each reload) its new memory has no
    arguments and environment yet, and both files are empty. The kernel says where the program's code ends only after
    it has put them there (load_elf_binary, fs/binfmt_elf.c), and puts all of it elsewhere for each program.
    """
    deadline = time.monotonic() + _LONGEST_EXEC
    while True:
        before = read_proc_text(pid, "stat")
        image = ProgramImage(read_proc_bytes(pid, "cmdline"), read_proc_bytes(pid, "environ"))
        after = read_proc_text(pid, "stat")
        if not _may_become_a_program(after):
            return image
        places = _places(before)
        # Without randomisation the places are the same again for the same arguments, but seldom for others.
        if places.end_of_code and places == _places(after) and image.command_line == read_proc_bytes(pid, "cmdline"):
            return image
        if time.monotonic() > deadline:
            raise OSError(errno.EAGAIN, "it becomes another program again and again", f"/proc/{pid}/environ")
        time.sleep(_PAUSE)


def read_environment(pid: int) -> tuple[str, ...]:
    """Return the NAME=VALUE entries that a process's program was started with. Raises OSError."""
    return split_arguments(read_image(pid).environment)


def is_on_host(pid: int) -> bool:
    """Whether a process sees the same files as remedy: not one of a container."""
    try:
        return os.path.samefile(f"/proc/{pid}/ns/mnt", "/proc/self/ns/mnt")  # noqa: PTH121
    except OSError:
        return False


def read_program(pid: int) -> str | None:
    """Return a process's name, None when it is gone."""
    try:
        return read_proc_text(pid, "comm").rstrip("\n")
    except OSError:
        return None


def read_proc_bytes(pid: int, name: str) -> bytes:
    """Read /proc/PID/NAME. Raises OSError."""
    with open(f"/proc/{pid}/{name}", "rb", buffering=0) as file:  # noqa: PTH123
        return file.read()


def read_proc_text(pid: int, name: str) -> str:
    """Read /proc/PID/NAME as text, undecodable bytes replaced. Raises OSError."""
    return read_proc_bytes(pid, name).decode(errors="replace")


def split_arguments(cmdline: bytes) -> tuple[str, ...]:
    """Split /proc/PID/cmdline or environ at its NULs."""
    if not cmdline:
        return ()
    return tuple(part.decode(errors="replace") for part in cmdline.removesuffix(b"\0").split(b"\0"))


def parse_parent(stat: str) -> int:
    """Return the parent's id of a line of /proc/PID/stat. The name in it may hold anything, `) (` too."""
    return int(_fields(stat)[1])


class _Places(NamedTuple):
    """Where a program lies in its process's memory: proc_pid_stat(5), endcode, and arg_start to env_end."""

    end_of_code: int
    arguments_and_environment: tuple[int, ...]


def _places(stat: str) -> _Places:
    fields = [int(field) for field in _fields(stat)[1:]]
    return _Places(fields[23], tuple(fields[44:48]))


def _may_become_a_program(stat: str) -> bool:
    """Whether there will be arguments: not for what is dead already, nor for the kernel's own threads."""
    fields = _fields(stat)
    return fields[0] not in ("Z", "X") and not int(fields[6]) & _KERNEL_THREAD


def _fields(stat: str) -> list[str]:
    """The fields of a line of /proc/PID/stat from the third on, the state."""
    return stat[stat.rindex(")") + 1 :].split()


def parse_start_ticks(stat: str) -> int:
    """Return when the process started, in clock ticks since boot, of a line of /proc/PID/stat."""
    return int(_fields(stat)[19])


def read_start_time(pid: int) -> datetime | None:
    """Return when a process was started (UTC), None when that cannot be told."""
    try:
        ticks = parse_start_ticks(read_proc_text(pid, "stat"))
        lines = (PROC / "stat").read_text().splitlines()
        booted = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
    except (OSError, ValueError, StopIteration):
        return None
    return datetime.fromtimestamp(booted + ticks / os.sysconf("SC_CLK_TCK"), UTC)


def parse_cpu_ticks(stat: str) -> int:
    """Return the clock ticks that a process has used, in itself and in the kernel, of a line of /proc/PID/stat."""
    fields = _fields(stat)
    return int(fields[11]) + int(fields[12])


def read_cpu_seconds(pid: int) -> tuple[float, float] | None:
    """Return the processor time that a process has used and how long ago it started; None when it is gone."""
    try:
        stat = read_proc_text(pid, "stat")
        uptime = float((PROC / "uptime").read_text().split()[0])
        ticks = os.sysconf("SC_CLK_TCK")
        return parse_cpu_ticks(stat) / ticks, max(uptime - parse_start_ticks(stat) / ticks, 0.0)
    except (OSError, ValueError, IndexError):
        return None


def read_resident_bytes(pid: int) -> int | None:
    """Return how much memory a process occupies, None when it is gone."""
    try:
        return int(read_proc_text(pid, "statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def _read_if_named(pid: int, programs: Collection[str]) -> Process | None:
    return read_process(pid) if read_program(pid) in programs else None
