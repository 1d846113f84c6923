"""Connections of recorded hosts, with what a recording does not hold built in."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from remedy.captures.facts import load_capture
from remedy.captures.files import read_capture
from remedy.facts.model import HostFacts

CAPTURES = Path(__file__).parents[2] / "captures"
ON, OFF = "28.5.2-iptables-proxy-on", "28.5.2-iptables-proxy-off"
NFTABLES = "29.7.2-nftables-proxy-on"
HOSTILE = "api\x1b[2J-1\n\u202e[red]"
UNKNOWN_RULE = '-A DOCKER-USER -p tcp -m bpf --bytecode "1,6 0 0 65535" -j DROP'


@cache
def recorded(name: str) -> HostFacts:
    return load_capture(read_capture(CAPTURES / f"{name}.tar.xz"))


def with_an_unknown_rule() -> HostFacts:
    """A host on which an operator put a match that the model does not know into DOCKER-USER."""
    known = recorded(OFF)
    tables = tuple(
        each.model_copy(update={"text": each.text.replace("-A FORWARD", f"{UNKNOWN_RULE}\n-A FORWARD", 1)})
        if each.family == 4
        else each
        for each in known.firewall.tables
    )
    return known.model_copy(update={"firewall": known.firewall.model_copy(update={"tables": tables})})


def with_a_hostile_name() -> HostFacts:
    known = recorded(ON)
    containers = tuple(c.model_copy(update={"name": HOSTILE}) if c.name == "api-1" else c for c in known.containers)
    return known.model_copy(update={"containers": containers})


def _of(name: str) -> Callable[[], HostFacts]:
    return lambda: recorded(name)


# name -> (facts, from, to)
PATHS: dict[str, tuple[Callable[[], HostFacts], str, str]] = {
    "docker-proxy": (_of(ON), "haproxy", "172.17.0.1:5001"),
    "docker-proxy-nftables": (_of(NFTABLES), "haproxy", "172.17.0.1:5001"),
    "dnat": (_of(OFF), "haproxy", "172.17.0.1:5001"),
    "dropped": (_of(ON), "other-net", "172.17.0.2:8080"),
    "dropped-between-networks": (_of(OFF), "other-net", "172.17.0.1:5001"),
    "ipv6-loopback": (_of(ON), "host", "[::1]:5001"),
    "ipv6-loopback-without-proxy": (_of(OFF), "host", "[::1]:5001"),
    "loopback-without-proxy": (_of(OFF), "host", "127.0.0.1:5001"),
    "external": (_of(OFF), "external", "10.98.0.10:5001"),
    "same-bridge": (_of(ON), "haproxy", "172.17.0.2:8080"),
    "itself": (_of(ON), "haproxy", "127.0.0.1:443"),
    "another-machine": (_of(ON), "client", "203.0.113.1:53/udp"),
    "unknown": (with_an_unknown_rule, "haproxy", "172.17.0.1:5001"),
    "hostile-names": (with_a_hostile_name, "haproxy", "172.17.0.1:5001"),
}
