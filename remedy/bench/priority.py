"""Priority for processes: their nice value, and that of their session where the scheduler groups by session."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remedy.lab import Host

INTERVAL_SECONDS = 0.1


def favour(pid: int, nice: int) -> None:
    """Put a process and its session ahead of others (below 0) or behind them.

    Best effort: who is not root keeps what it has, and the generator's lag tells.
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, nice)
    with suppress(OSError):  # sched(7), the autogroup feature: nice alone counts inside the session only
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))


@contextmanager
def favoured(host: Host, nice: int) -> Iterator[None]:
    """Keep all processes of a host, and this one, ahead of the machine's others for the length of a `with` block.

    Where others use the machine, too, their work would be measured; on a machine of one's own 0 is right. New
    processes begin sessions of their own, so it is done again and again.
    """
    stop = threading.Event()
    thread = threading.Thread(target=_keep_favoured, args=(host, nice, stop), daemon=True)
    if nice:
        favour(os.getpid(), nice)
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if nice:
            thread.join()


def _keep_favoured(host: Host, nice: int, stop: threading.Event) -> None:
    from remedy.lab.cgroups import all_processes
    from remedy.lab.layout import find_layout

    cgroup = find_layout().host_place(host.name).cgroup
    done: set[int] = set()
    while True:
        present = set(all_processes(cgroup))
        for pid in present - done:
            favour(pid, nice)
        done = present
        if stop.wait(INTERVAL_SECONDS):
            return
