"""Which rules are the Docker engine's own. All knowledge of this stands here.

The engine deletes and writes its rules again at every start, in another order each time; so comparing two
states needs to know them. Anything that is not recognised counts as foreign, which is the careful side: its
order then matters. The shapes are those of 20.10.24, 26.1.5, 28.5.2 and 29.7.2 as captured, and of moby's
integration/network/bridge/iptablesdoc.
"""

from __future__ import annotations

import re

from remedy.firewall.iptables_save import Rule

USER_CHAIN = "DOCKER-USER"

_BRIDGE = r"[^\s!]+"
_LOCAL = r"-m addrtype --dst-type LOCAL"
_PORT = r"-p (?:tcp|udp|sctp) -m (?:tcp|udp|sctp) --dport \d+"

# (table, chain) -> what may stand there, as iptables-save prints it after `-A CHAIN `.
_SHAPES: dict[tuple[str, str], tuple[str, ...]] = {
    ("nat", "PREROUTING"): (rf"{_LOCAL} -j DOCKER(?:-INGRESS)?",),
    ("nat", "OUTPUT"): (
        # loopback is left out while the userland proxy is on (all versions)
        rf"(?:! -d (?:127\.0\.0\.0/8|::1/128) )?{_LOCAL} -j DOCKER(?:-INGRESS)?",
    ),
    ("nat", "POSTROUTING"): (
        # SNAT instead where the network has com.docker.network.host_ipv4
        rf"-s \S+ ! -o {_BRIDGE} -j (?:MASQUERADE|SNAT --to-source \S+)",
        rf"-o {_BRIDGE} -m addrtype --src-type LOCAL -j (?:MASQUERADE|SNAT --to-source \S+)",
        # a container to itself: before 28.0 always, later with the proxy off
        rf"-s (\S+) -d \1 {_PORT} -j MASQUERADE",
    ),
    ("filter", "FORWARD"): (
        r"-j DOCKER-(?:USER|FORWARD|INGRESS|ISOLATION-STAGE-1)",
        # before 28.0.1 every network has these in FORWARD itself
        rf"-o {_BRIDGE} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        rf"-o {_BRIDGE} -j DOCKER",
        rf"-i ({_BRIDGE}) ! -o \1 -j ACCEPT",
        rf"-i ({_BRIDGE}) -o \1 -j (?:ACCEPT|DROP)",
        # 28.0.0 alone finds its bridges by ipset
        r"-m set --match-set docker-ext-bridges-v[46] dst -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        r"-m set --match-set docker-ext-bridges-v[46] dst -j DOCKER",
    ),
    ("raw", "PREROUTING"): (
        rf"-d \S+ ! -i {_BRIDGE} -j DROP",  # 28.2 and later: one for each endpoint
        rf"-d \S+ ! -i {_BRIDGE} {_PORT} -j DROP",  # 28.0-28.1 for each port; later for ports on 127.0.0.1
        r"-d \S+/(?:32|128) -i \S+ -j ACCEPT",  # 28.2 and later: trusted_host_interfaces, one for each endpoint
        rf"-d 127\.\S+ -i loopback0 {_PORT} -j ACCEPT",  # 28.0 and later, under WSL2
    ),
}
_COMPILED = {place: tuple(re.compile(shape) for shape in shapes) for place, shapes in _SHAPES.items()}


def is_engine_chain(name: str) -> bool:
    """Whether the engine made this chain and fills it; DOCKER-USER it makes, but the operator fills it."""
    return name == "DOCKER" or (name.startswith("DOCKER-") and name != USER_CHAIN)


def is_engine_target(target: str | None) -> bool:
    """Whether a jump there is one of the engine's (DOCKER-USER included)."""
    return target is not None and (target == USER_CHAIN or is_engine_chain(target))


def is_engine_rule(rule: Rule) -> bool:
    """Whether the engine writes this rule, judged by its place and its exact shape."""
    if is_engine_chain(rule.chain):
        return True
    matched = rule.specification.removeprefix(f"-A {rule.chain} ")
    if rule.chain == USER_CHAIN:
        return matched == "-j RETURN"  # the trailing RETURN, written before 28.2
    return any(shape.fullmatch(matched) for shape in _COMPILED.get((rule.table, rule.chain), ()))
