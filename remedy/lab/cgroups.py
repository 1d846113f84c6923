"""Cgroups as the lab's register of processes: what is in one can be found and killed, whoever started it.

A process joins before it does anything else (init/join.sh), so there is no moment at which a killed client
leaves a process that nobody knows. When the cgroup has gone in between, joining fails and the process ends.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from remedy.errors import LabError
from remedy.lab.layout import Layout, Place

INIT_SCRIPTS = Path(__file__).parent / "init"

_KILL_TIMEOUT_SECONDS = 10.0


def make_cgroup(path: Path) -> None:
    """Make a cgroup and those above it that are missing."""
    while not path.exists():
        with suppress(FileNotFoundError):  # Somebody removes the empty parent at this moment.
            path.mkdir(parents=True, exist_ok=True)


def make_place(layout: Layout, place: Place) -> None:
    """Make the cgroups of a host (or of the switch), with every controller that the machine gives to the lab."""
    make_cgroup(place.machine)
    make_cgroup(place.visitors)
    for parent in (layout.cgroup, place.cgroup):
        for controller in _read(parent / "cgroup.controllers").split():
            # Best effort: without a controller containers only lack that limit.
            with suppress(OSError):
                (parent / "cgroup.subtree_control").write_text(f"+{controller}")


def joining(cgroup: Path, *arguments: str) -> list[str]:
    """The command that runs a program in a cgroup, from its first instruction on."""
    return ["sh", str(INIT_SCRIPTS / "join.sh"), str(cgroup), *arguments]


def processes(path: Path) -> list[int]:
    """The process ids (as the machine sees them) directly in a cgroup; none when there is no such cgroup."""
    return [int(line) for line in _read(path / "cgroup.procs").split()]


def all_processes(path: Path) -> list[int]:
    """The process ids in a cgroup and all below it."""
    return [pid for directory in _subtree(path) for pid in processes(directory)]


def remove_cgroup(path: Path) -> None:
    """Kill everything in a cgroup and below, then remove it. Nothing to do when it does not exist."""
    deadline = time.monotonic() + _KILL_TIMEOUT_SECONDS
    while path.exists():
        _kill_all(path)
        for directory in _subtree(path):
            # Busy: a killed process has not ended yet. The next round removes it.
            with suppress(OSError):
                directory.rmdir()
        if not path.exists():
            return
        if time.monotonic() > deadline:
            left = all_processes(path)
            raise LabError(f"the processes {left} do not end", where=str(path), why="they are probably in disk wait")
        time.sleep(0.01)


def _kill_all(path: Path) -> None:
    try:
        (path / "cgroup.kill").write_text("1")
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV) and not path.exists():
            return
        _kill_one_by_one(path)


def _kill_one_by_one(path: Path) -> None:
    """Before kernel 5.14 there is no cgroup.kill. A pidfd makes sure that a recycled pid is never hit."""
    for pid in all_processes(path):
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                if pid in all_processes(path):
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            finally:
                os.close(descriptor)


def _subtree(path: Path) -> Iterator[Path]:
    """The cgroup's directories, deepest first, itself last."""
    with suppress(FileNotFoundError):
        for child in sorted(path.iterdir()):
            if child.is_dir() and not child.is_symlink():
                yield from _subtree(child)
        yield path


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # ENOENT: no such cgroup; ENODEV: it is being removed.
        return ""
