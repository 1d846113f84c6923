"""What one engine version does to packets and another does not: the only place that knows."""

from __future__ import annotations

Version = tuple[int, int]

# 29.0 replaced the isolation chains and dropped the RETURNs in front of the DNAT rules (moby 1ad9599da7).
NO_ISOLATION_CHAINS: Version = (29, 0)
# 27.4 sets bridge-nf-call-iptables to 1 at start while the proxy is off (moby 0548fe251c, PR 48676).
SETS_BRIDGE_NF: Version = (27, 4)
# Until 28.0 `-s C -d C ... -j MASQUERADE` stands for every port with the proxy on, too (moby bf251c33d0, PR 48854).
MASQUERADES_ITSELF_WITHOUT_PROXY_ONLY: Version = (28, 0)
# Up to 20.10 `--src-type LOCAL -j MASQUERADE` stays when the proxy comes back (moby 44721, fixed in 23.0.0).
CLEANS_MASQUERADE: Version = (23, 0)
# `dockerd --validate` exists from 23.0.
HAS_VALIDATE: Version = (23, 0)

# `docker network connect --gw-priority` (28.0): which endpoint is the gateway no longer hangs on names alone.
HAS_GATEWAY_PRIORITY: Version = (28, 0)

# One `-d ADDRESS ! -i BRIDGE -j DROP` in raw for each endpoint (28.2.0, filterDirectAccess); before, for each port.
DROPS_DIRECT_ACCESS: Version = (28, 2)

# A new IPv4 network switches net.ipv4.ip_forward on, and FORWARD's policy to DROP (measured: 28.5 does, 26.1 does not);
# a new IPv6 network does its part on all.
FORWARDS_WITH_EACH_NETWORK: Version = (27, 0)

# A UDP docker-proxy on every address answers from the address that was asked (measured: 28.5 does, 26.1 does not).
PROXY_ANSWERS_AS_ASKED: Version = (28, 0)


def proxy_answers_from_asked_address(version: Version) -> bool:
    """Whether docker-proxy's answer to a datagram comes from the address that the client asked."""
    return version >= PROXY_ANSWERS_AS_ASKED


def has_gateway_priority(version: Version) -> bool:
    """Whether `docker network connect --gw-priority` exists."""
    return version >= HAS_GATEWAY_PRIORITY


def drops_direct_access(version: Version) -> bool:
    """Whether a container's address is closed to everybody but its neighbours, by a rule of its own."""
    return version >= DROPS_DIRECT_ACCESS


def forwards_with_network(version: Version, family: int) -> bool:
    """Whether the engine switches forwarding on for the whole host when a network of this IP version is made."""
    return family == 6 or version >= FORWARDS_WITH_EACH_NETWORK


def sets_bridge_nf(version: Version) -> bool:
    """Whether the engine switches bridge-nf-call-iptables on when it starts without the userland proxy."""
    return version >= SETS_BRIDGE_NF


def leaves_masquerade(version: Version) -> bool:
    """Whether `-m addrtype --src-type LOCAL -j MASQUERADE` stays behind when the proxy comes back."""
    return version < CLEANS_MASQUERADE


def has_validate(version: Version) -> bool:
    """Whether `dockerd --validate --config-file` can check a daemon.json."""
    return version >= HAS_VALIDATE


def masquerades_itself_with_proxy(version: Version) -> bool:
    """Whether a container's connections to its own published port are masqueraded while the proxy is on, too."""
    return version < MASQUERADES_ITSELF_WITHOUT_PROXY_ONLY


def returns_before_dnat(version: Version) -> bool:
    """Whether `-i BRIDGE -j RETURN` in front of the DNAT rules leaves containers to the userland proxy."""
    return version < NO_ISOLATION_CHAINS
