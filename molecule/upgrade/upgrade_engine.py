"""Puts another engine in the place of a lab host's: `upgrade_engine.py HOST ENGINE`."""

from __future__ import annotations

import sys

from remedy.lab import Host, find_host
from remedy.lab.rootfs import host_rootfs


def upgrade(host: Host, engine: str) -> None:
    """Replace the executables by those of another engine's hosts and restart, as an upgrade of the package does."""
    root = host_rootfs(engine, host.layout.cache, print)
    for program in ("usr/sbin/dockerd", "usr/sbin/docker-proxy"):
        # A running program cannot be written to, but its name can be given to another file.
        host.write_file(f"/{program}.new", (root / program).read_bytes(), 0o755)
        host.run(["mv", f"/{program}.new", f"/{program}"])
    host.run(["systemctl", "restart", "docker"], timeout=60)


if __name__ == "__main__":
    upgrade(find_host(sys.argv[1]), sys.argv[2])
