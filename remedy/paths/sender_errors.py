"""What the sender of a packet hears when it does not arrive: the kernel's table of ICMP messages and socket errors."""

from __future__ import annotations

from remedy.paths.verdict import Failure

# What makes connect() fail with "connection refused"; the other messages say "unreachable".
REFUSALS = frozenset({"tcp-reset", "icmp-port-unreachable", "icmp6-port-unreachable", "icmpv6-port-unreachable"})

# What a datagram's sender does not hear of: no hard errors (net/ipv4/icmp.c, icmp_err_convert; net/ipv6/icmp.c,
# tab_unreach). icmp-proto-unreachable and the prohibitions are.
SOFT_ERRORS = frozenset(
    {"icmp-net-unreachable", "icmp-host-unreachable", "icmp-no-route", "icmp-addr-unreachable"}
    | {"icmp6-no-route", "icmp6-addr-unreachable"}
)


def failure_of_rejection(answer: str, protocol: str) -> Failure:
    """What a client notices of a rule's REJECT; answer: "tcp-reset" or an ICMP message's name, "" for a DROP."""
    if not answer:
        return "no-answer"
    if answer in REFUSALS:
        return "refused"
    return "no-answer" if protocol != "tcp" and answer in SOFT_ERRORS else "unreachable"


def failure_of_no_route(kind: str, protocol: str) -> Failure:
    """What a client elsewhere notices of a packet that the host has no way for; kind: of the route.

    A blackhole is silent, and so is a broadcast; the rest is told by ICMP, which a datagram's sender does not
    hear of: "network unreachable" is no hard error (net/ipv4/icmp.c, icmp_err_convert; net/ipv6/icmp.c).
    """
    return "no-answer" if kind in ("blackhole", "broadcast") or protocol != "tcp" else "unreachable"
