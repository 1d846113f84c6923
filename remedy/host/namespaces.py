"""Entering another network namespace for the length of one function call.

The kernel keeps the network namespace per thread, and so does this module: the function runs in a thread
of its own that ends with it, so no thread of remedy's ever comes back in the wrong namespace. Programs that
the function starts are in the namespace too, without the cost of nsenter.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import TypeVar

from remedy.errors import PermissionNeededError
from remedy.host.threads import run_in_a_thread_of_its_own

CLONE_NEWNET = 0x40000000

Result = TypeVar("Result")


def network_namespace_path(pid: int | None = None) -> str:
    """Return the file that stands for the network namespace of a process (of remedy itself without pid)."""
    return f"/proc/{'self' if pid is None else pid}/ns/net"


def network_namespace_inode(pid: int | None = None) -> int:
    """Return the number that tells network namespaces apart. Raises OSError when the process is gone."""
    # Not Path.stat: a namespace is a magic link, and the call is made for every container.
    return os.stat(network_namespace_path(pid)).st_ino  # noqa: PTH116


def run_in_network_namespace(pid: int, function: Callable[[], Result]) -> Result:
    """Call `function` inside the network namespace of process `pid` and return what it returns.

    Only the network changes: files, processes and users are those of remedy. What the function raises is
    raised here. Raises OSError when the process is gone, PermissionNeededError when remedy may not enter.
    """
    descriptor = _open_namespace(pid)
    try:
        if os.fstat(descriptor).st_ino == network_namespace_inode():
            return function()
        return run_in_opened_namespace(descriptor, function)
    finally:
        os.close(descriptor)


def run_in_opened_namespace(descriptor: int, function: Callable[[], Result]) -> Result:
    """Call `function` inside the network namespace that an open descriptor stands for; see above."""

    def enter_and_run() -> Result:
        _set_namespace(descriptor)
        return function()

    return run_in_a_thread_of_its_own(enter_and_run, "remedy-netns")


def _open_namespace(pid: int) -> int:
    try:
        return os.open(network_namespace_path(pid), os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError as error:
        raise _may_not_enter(pid) from error


def _set_namespace(descriptor: int) -> None:
    # os.setns came with Python 3.12.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        if number == 1:
            raise _may_not_enter(None)
        raise OSError(number, os.strerror(number))


def _may_not_enter(pid: int | None) -> PermissionNeededError:
    return PermissionNeededError(
        "the network namespace may not be entered",
        where=None if pid is None else f"process {pid}",
        why="entering a network namespace needs root (CAP_SYS_ADMIN)",
        next_step="run remedy as root",
    )
