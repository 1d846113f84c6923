"""conntrack's entries of single connections, from `conntrack -L` on the host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from remedy.facts.model import Address
from remedy.lab import Host
from remedy.truth.prober import Seen

_FIRST = re.compile(r"^(tcp|udp) .*?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+).*?src=(\S+) dst=(\S+) ")

Key = tuple[str, int, Address, int]  # protocol, the client's port, the address and port that were asked


@dataclass(frozen=True, slots=True)
class Entry:
    """Of an entry what counts: who asked whom, and who is said to answer."""

    source: Address
    answers: Address


class Entries:
    """All entries of a moment, by protocol, client's port and what was asked."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._by_question: dict[Key, list[Entry]] = {}
        self._by_port: dict[tuple[str, int], list[Entry]] = {}
        for line in lines:
            found = _FIRST.match(line)
            if found is not None:
                entry = Entry(ip_address(found[2]), ip_address(found[6]))
                key = found[1], int(found[4]), ip_address(found[3]), int(found[5])
                self._by_question.setdefault(key, []).append(entry)
                self._by_port.setdefault((found[1], int(found[4])), []).append(entry)

    def of_client(self, protocol: str, seen: Seen, address: Address, port: int) -> list[Entry]:
        """The entries of the connection as its client made it."""
        if seen.client is None:
            return []
        found = self._by_question.get((protocol, seen.client_port, address, port), [])
        return [entry for entry in found if entry.source == seen.client]

    def of_proxy(self, protocol: str, seen: Seen) -> list[Entry]:
        """The entries of docker-proxy's own connection to the server."""
        if seen.server_port is None or seen.server_port == seen.client_port:
            return []
        found = self._by_port.get((protocol, seen.server_port), [])
        return [entry for entry in found if entry.source == seen.source]


def read_entries(host: Host) -> Entries:
    """Both families' entries of the host."""
    texts = [host.run(["conntrack", "-L", "-f", family], check=False, timeout=60).stdout for family in ("ipv4", "ipv6")]
    return Entries(line for text in texts for line in text.splitlines())
