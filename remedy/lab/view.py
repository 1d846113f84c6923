"""How hosts are shown: one object for programs, one table for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from remedy.lab.host import Host
from remedy.lab.records import uptime_seconds

if TYPE_CHECKING:
    from rich.table import Table


def host_object(host: Host) -> dict[str, Any]:
    """A host as JSON; uptime in seconds, null while it does not run."""
    running = host.is_running
    return {
        "name": host.name,
        "engine": host.engine,
        "firewall": host.firewall,
        "state": "running" if running else "stopped",
        "orphan": host.record.is_orphan,
        "address": host.address,
        "address6": host.address6,
        "uptime_seconds": uptime_seconds(host.init_pid) if running else None,
        "init_pid": host.init_pid if running else None,
        "docker_host": f"unix://{host.docker_socket}" if running else None,
    }


def host_table(hosts: list[Host]) -> Table:
    """The hosts as a table."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "ENGINE", "FIREWALL", "STATE", "ADDRESS", "UPTIME"):
        table.add_column(heading)
    for host in hosts:
        shown = host_object(host)
        state = f"{shown['state']} (orphan)" if shown["orphan"] else shown["state"]
        uptime = duration(shown["uptime_seconds"])
        table.add_row(host.name, host.engine, host.firewall, state, host.address, uptime)
    return table


def duration(seconds: float | None) -> str:
    """A duration in its two largest units: 42s, 3m 5s, 2h 7m, 4d 1h."""
    if seconds is None:
        return "-"
    left = int(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (parts and len(parts) < 2) or unit == "s":
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])
