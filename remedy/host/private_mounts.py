"""A private copy of another process's mounts, for the length of one function call.

What is mounted anew or otherwise in the copy is seen by nobody else, and is gone with it. A thread of its own enters
it (the kernel keeps mounts per thread, once it no longer shares root and directory with the others) and ends there.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import TypeVar

from remedy.host.threads import run_in_a_thread_of_its_own

_CLONE_FS, _CLONE_NEWNS = 0x200, 0x20000
_MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x20, 0x1000, 0x4000, 0x40000

Result = TypeVar("Result")


def run_in_private_mounts(pid: int, function: Callable[[int], Result]) -> Result:
    """Call `function` with the root of process `pid`, opened in a private copy of its mounts.

    The directory is the host's /proc; paths from / are the process's, and not to be used. What the function raises is
    raised here. Raises OSError when the process is gone or may not be entered.
    """

    def enter_and_run() -> Result:
        _enter_copy(pid)
        root = os.open("/", os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
        try:
            return function(root)
        finally:
            os.close(root)

    return run_in_a_thread_of_its_own(enter_and_run, "remedy-mounts")


def open_for_writing(mounted: int) -> int:
    """Open a file that is mounted by itself, and read-only, to be read and written: only in a private copy of mounts.

    mounted: the file, opened with O_PATH. Raises OSError where the file system, too, is read-only.
    """
    # Below the host's /proc, which is the thread's directory: a container's shows other processes, if there is any.
    path = f"self/fd/{mounted}"
    _call("mount", None, path.encode(), None, _MS_REMOUNT | _MS_BIND, None)
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)


def _enter_copy(pid: int) -> None:
    process_files = os.open("/proc", os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
    mounts = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("unshare", _CLONE_FS)
        _call("setns", mounts, _CLONE_NEWNS)
        _call("unshare", _CLONE_NEWNS)
        _call("mount", None, b"/", None, _MS_REC | _MS_PRIVATE, None)
        os.fchdir(process_files)
    finally:
        os.close(mounts)
        os.close(process_files)


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
