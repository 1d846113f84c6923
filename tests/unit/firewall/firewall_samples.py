"""Rulesets that the tests of the firewall share."""

from __future__ import annotations

from remedy.firewall.inside import INSIDE
from remedy.firewall.ruleset import Redirect, Ruleset, UntrackedPair


def redirect(**changes: object) -> Redirect:
    values = {
        "protocol": "tcp",
        "address": None,
        "port": 5001,
        "to_address": "172.17.0.2",
        "to_port": 8080,
        "bridge": "docker0",
        "subnet": "172.17.0.0/16",
        "container": "dev1-api-1",
    }
    return Redirect.model_validate({**values, **changes})


def hairpin() -> Ruleset:
    """Three replicas, containers' connections only."""
    redirects = tuple(
        redirect(port=5000 + n, to_address=f"172.17.0.{n + 1}", container=f"dev1-api-{n}") for n in (1, 2, 3)
    )
    return Ruleset(name="hairpin", redirects=redirects, engine_bridges=("docker0", "br-771e56e6714a"))


def bridging() -> Ruleset:
    """Everything that a ruleset can say: pinned addresses, every origin, UDP and SCTP, IPv6, both guards."""
    everybody: dict[str, object] = {"from_elsewhere": True, "from_host": True, "from_loopback": True}
    v6: dict[str, object] = {"to_address": "fd00:1::2", "subnet": "fd00:1::/64", "bridge": "br-v6"}
    redirects = (
        redirect(**everybody),
        redirect(port=5002, address="10.98.0.20", from_elsewhere=True, from_host=True, container="web2"),
        redirect(port=5003, address="127.0.0.1", from_own_bridge=False, from_loopback=True, container="lo"),
        redirect(port=5014, protocol="udp", to_port=5014, container="udp", **everybody),
        redirect(port=132, protocol="sctp", from_own_bridge=False, from_elsewhere=True, container="sctp"),
        redirect(port=5006, from_elsewhere=True, from_host=True, container="six", **v6),
        redirect(port=5005, address="fd98::10", from_own_bridge=False, from_elsewhere=True, container="six2", **v6),
    )
    return Ruleset(
        name="bridging",
        redirects=redirects,
        engine_bridges=("docker0", "br-v6"),
        guard_localnet=("docker0", "br-v6"),
        forward_guard=True,
    )


def pair(**changes: object) -> UntrackedPair:
    values = {
        "protocol": "tcp",
        "client_address": "10.5.0.2",
        "server_address": "10.5.0.3",
        "server_port": 8080,
        "bridge": "br-0123456789ab",
        "client": "dev1-haproxy-1",
        "server": "dev1-api-1",
        "network": "remedy-lb",
    }
    return UntrackedPair.model_validate({**values, **changes})


def inside() -> Ruleset:
    """What is written inside a container's network namespace."""
    return INSIDE


def notrack() -> Ruleset:
    """Pairs of both protocols and both families, with their accepts."""
    six: dict[str, object] = {"client_address": "fd05::2", "server_address": "fd05::3"}
    untracked = (
        pair(),
        pair(server_address="10.5.0.4", server="dev1-api-2"),
        pair(protocol="udp", server_port=53, server="dns"),
        pair(**six),
        pair(protocol="udp", server_port=53, server="dns", **six),
    )
    return Ruleset(name="notrack", untracked=untracked, forward_guard=True)


def notrack_ahead() -> Ruleset:
    """The same pairs where the engine accepts them, with the accept for speed."""
    return notrack().model_copy(update={"forward_guard": False, "accept_ahead": True})
