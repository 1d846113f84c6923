"""/etc/hosts as a process sees it: what names such as host.docker.internal mean to it."""

from __future__ import annotations

from ipaddress import ip_address

from remedy.facts.container_files import read_regular_file
from remedy.facts.model import Address

PATH = "/etc/hosts"
MAXIMUM_BYTES = 256 << 10

Names = dict[str, tuple[Address, ...]]


def read_hosts(root: int) -> Names:
    """Read the file below `root`; without one no name is known. Raises OSError, ValueError when it is too large."""
    try:
        return parse_hosts(read_regular_file(root, PATH, MAXIMUM_BYTES).decode(errors="replace"))
    except FileNotFoundError:
        return {}


def parse_hosts(text: str) -> Names:
    """Read hosts(5): an address and its names a line. Names are matched as the resolver does, in small letters."""
    found: Names = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        try:
            parsed = ip_address(address)
        except ValueError:
            continue
        for name in map(str.lower, names):
            found[name] = (*found.get(name, ()), parsed)
    return found
