"""Which machine this is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from remedy.facts.model import HostIdentity


def read_identity() -> HostIdentity:
    """Read the identity of the host that remedy runs on."""
    system = os.uname()
    return HostIdentity(
        hostname=system.nodename,
        machine_id=_read("/etc/machine-id"),
        boot_id=_read("/proc/sys/kernel/random/boot_id"),
        kernel=system.release,
    )


def parse_remote_identity(info: dict[str, Any]) -> HostIdentity:
    """Return what `docker info` tells of a host that remedy does not run on."""
    return HostIdentity(
        hostname=str(info.get("Name", "")),
        machine_id="",
        boot_id="",
        kernel=str(info.get("KernelVersion", "")),
    )


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
