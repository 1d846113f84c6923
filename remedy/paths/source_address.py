"""Which of its IPv6 addresses a host sends from: RFC 6724, as net/ipv6/addrconf.c (ipv6_dev_get_saddr) does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

# The kernel's default policy table (net/ipv6/addrlabel.c, ip6addrlbl_init_table), most specific first.
_LABELS = tuple(
    (IPv6Network(prefix), label)
    for prefix, label in (
        ("::1/128", 0),
        ("::ffff:0:0/96", 4),
        ("::/96", 3),
        ("2001::/32", 6),
        ("2001:10::/28", 7),
        ("3ffe::/16", 12),
        ("2002::/16", 2),
        ("fec0::/10", 11),
        ("fc00::/7", 5),
        ("::/0", 1),
    )
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An address of the host, and where it is."""

    address: IPv6Address
    interface: str


def source6(candidates: Sequence[Candidate], interface: str, to: IPv6Address) -> IPv6Address | None:
    """The best source for `to` by the interface; every interface's addresses are considered, this one's first."""
    if not candidates:
        return None
    return max(candidates, key=lambda candidate: _rank(candidate, interface, to)).address


def _rank(candidate: Candidate, interface: str, to: IPv6Address) -> tuple[bool, bool, bool, int]:
    own = candidate.address
    same_bits = 128 - (int(own) ^ int(to)).bit_length()
    return own == to, candidate.interface == interface, _label(own) == _label(to), same_bits


def _label(address: IPv6Address) -> int:
    return next(label for prefix, label in _LABELS if address in prefix)
