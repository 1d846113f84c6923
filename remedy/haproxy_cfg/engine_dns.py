"""How a haproxy asks the engine's DNS so that it hears of names again once the engine was restarted.

The engine's DNS listens on ports of its own, to which rules in the container's namespace lead 127.0.0.11:53. When the
engine starts again, it makes other sockets and other rules. A query by UDP that still comes from the old port is
translated as its conntrack entry remembers, to a port where nobody listens any more, and the queries themselves keep
that entry alive.

- By UDP: haproxy connects its socket, hears of the ICMP error, and opens another one with another port. From 3.2.5 on,
  and in 3.3, the socket is bound only (2c7e05f80, "dns: don't call connect to dest socket for AF_INET*"): it hears of
  nothing, and keeps its port for ever. Seen: 3.2.26 never learned of a name again, 2.6.12 and 3.0.11 did at once.
- By TCP, since 2.4: the connection is closed by the engine, and made anew. But where haproxy waits before it tries
  again (27236f221) and that wait is not taken back (765f14e0e), it turns without a pause until the next connection:
  seen with 3.0.11, about 30 % of a processor. Without a wait it tries without a pause while nobody listens.

So: TCP from the versions on that wait and take it back, UDP before, where sockets are connected without exception.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

Transport = Literal["udp", "tcp"]
# The last part of the first version of each series with both 27236f221 and 765f14e0e; 2c7e05f80 is younger than both.
_FIRST_BY_TCP = {(2, 8): 16, (3, 0): 12, (3, 1): 9, (3, 2): 4}
_ENGINE_DNS = re.compile(r"(?:(?P<kind>tcp|udp|ipv)[46]?@)?127\.0\.0\.11(?::53)?")
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+)|-dev\d+)?")


def transport_for(version: str | None) -> Transport:
    """How a haproxy of this version ("3.0.11-1+deb13u4") is to ask. None or no version: by TCP, as all hear again."""
    match = None if version is None else _VERSION.match(version)
    if match is None:
        return "tcp"
    series, last = (int(match[1]), int(match[2])), int(match[3] or 0)
    first = _FIRST_BY_TCP.get(series)
    if first is None:
        return "tcp" if series > max(_FIRST_BY_TCP) else "udp"
    return "tcp" if last >= first else "udp"


def transport_of(nameserver: Sequence[str]) -> Transport | None:
    """How a line of a resolvers section (its words) asks the engine's DNS; None when it does not."""
    if nameserver[:1] == ["parse-resolv-conf"]:
        return "udp"  # the container's own file, which names the engine's DNS once it is on a user-defined network
    match = _ENGINE_DNS.fullmatch(nameserver[2]) if nameserver[:1] == ["nameserver"] and len(nameserver) > 2 else None
    if match is None:
        return None
    return "tcp" if match["kind"] == "tcp" else "udp"


def address_by(transport: Transport) -> str:
    """The address of a `nameserver` line."""
    return "127.0.0.11:53" if transport == "udp" else "tcp@127.0.0.11:53"
