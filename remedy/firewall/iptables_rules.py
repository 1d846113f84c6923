"""A Ruleset as iptables rules: own chains `REMEDY-*`, and one jump into each from a built-in chain.

A rule is a typed value. Its `text` is letter for letter what iptables-save prints for it, so that what was wanted
compares with what was read; the same text feeds iptables-restore.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Literal

from remedy.facts.model import Address, Protocol, Subnet
from remedy.firewall import names
from remedy.firewall.engine_rules import USER_CHAIN
from remedy.firewall.iptables_save import quote
from remedy.firewall.ruleset import Redirect, Ruleset, RulesetName, UntrackedPair

Family = Literal[4, 6]

_LOOPBACK: dict[Family, Subnet] = {4: ip_network("127.0.0.0/8"), 6: ip_network("::1/128")}
_LINK_LOCAL = ip_network("fe80::/10")
NOTRACK_TARGET = "CT"


@dataclass(frozen=True, slots=True)
class Match:
    """`-m name --option value`."""

    name: str
    option: str
    value: str


_UNTRACKED = Match("conntrack", "ctstate", "UNTRACKED")


@dataclass(frozen=True, slots=True)
class OwnRule:
    """One rule of remedy's. to is the DNAT destination; comment is complete, prefix included.

    The target CT always stands for `CT --notrack`.
    """

    chain: str
    target: str
    comment: str
    source: Subnet | None = None
    destination: Subnet | None = None
    in_interface: str | None = None
    out_interface: str | None = None
    protocol: Protocol | None = None
    matches: tuple[Match, ...] = ()
    to: str | None = None

    @property
    def text(self) -> str:
        """The rule as iptables-save prints it."""
        words = [
            f"-A {self.chain}",
            *_option("-s", self.source),
            *_option("-d", self.destination),
            *_option("-i", self.in_interface),
            *_option("-o", self.out_interface),
            *_option("-p", self.protocol),
            *(f"-m {match.name} --{match.option} {match.value}" for match in self.matches),
            f"-m comment --comment {quote(self.comment)}",
            f"-j {self.target}",
            *_option("--to-destination", self.to),
            *(["--notrack"] if self.target == NOTRACK_TARGET else []),
        ]
        return " ".join(words)

    @property
    def deletion(self) -> str:
        """What iptables takes to delete it."""
        return self.text.replace("-A ", "-D ", 1)


@dataclass(frozen=True, slots=True)
class OwnChain:
    """An own chain with its rules, and the jump that leads into it from the top of a built-in chain.

    must_lead: whether it fails its purpose behind the engine's rules. Translations and accepts do; who masquerades or
    drops first makes no difference, and engines up to 26.1 insert their own masquerade on top at every start.
    """

    name: str
    jump: OwnRule
    rules: tuple[OwnRule, ...]
    must_lead: bool = True


@dataclass(frozen=True, slots=True)
class OwnTable:
    """remedy's chains in one table of one family."""

    family: Family
    name: str
    chains: tuple[OwnChain, ...]


def tables(ruleset: Ruleset) -> tuple[OwnTable, ...]:
    """The nat and raw tables of a ruleset, in the order in which they are to be written (guard first).

    Raises RefusedError for an interface name that cannot be written.
    """
    families: tuple[Family, ...] = (4, 6)
    built = [
        OwnTable(4, "raw", (*_guard_chains(ruleset), *_untracking_chains(ruleset, 4), *_all_but_loopback(ruleset))),
        OwnTable(6, "raw", tuple(_untracking_chains(ruleset, 6))),
    ]
    built += [OwnTable(family, "nat", tuple(_nat_chains(ruleset, family))) for family in families]
    return tuple(table for table in built if table.chains)


def forward_chain(ruleset: Ruleset, family: Family, *, has_user_chain: bool) -> OwnChain:
    """The filter chain that accepts the redirected flows, or what is untracked, ahead of the engine's rules.

    DOCKER-USER is asked first, so that the operator's drops still count; what it does not decide comes back.
    """
    name = forward_chain_name(ruleset.name)
    jump = forward_jump(ruleset)
    is_needed = ruleset.forward_guard or not ruleset.accept_ahead
    user = [OwnRule(name, USER_CHAIN, names.comment("operator-first"))] if has_user_chain else []
    rules = [*user, *(_redirected(name, ruleset, family) if ruleset.redirects else ())]
    accepts = (_accepted_pairs if is_needed else _accepted_bridges)(name, ruleset.untracked, family)
    rules += (rule if jump.matches else replace(rule, matches=(*rule.matches, _UNTRACKED)) for rule in accepts)
    return OwnChain(name, jump, tuple(rules), must_lead=is_needed)


def forward_jump(ruleset: Ruleset) -> OwnRule:
    """The jump into that chain: of untracked packets alone, where nothing else is accepted there.

    Everybody else's meet one comparison then, and do not walk DOCKER-USER twice.
    """
    matches = () if ruleset.redirects else (_UNTRACKED,)
    return OwnRule("FORWARD", forward_chain_name(ruleset.name), names.comment(ruleset.name), matches=matches)


def forward_jump_forms(ruleset: Ruleset) -> tuple[OwnRule, ...]:
    """The jump as it is written now, and as versions before wrote it: for every packet."""
    jump = forward_jump(ruleset)
    return tuple(dict.fromkeys((jump, replace(jump, matches=()))))


def _accepted_pairs(name: str, pairs: Iterable[UntrackedPair], family: Family) -> Iterator[OwnRule]:
    for rule in _of_pairs(name, "ACCEPT", pairs, family):
        yield replace(rule, out_interface=rule.in_interface)


def _accepted_bridges(name: str, pairs: Iterable[UntrackedPair], family: Family) -> Iterator[OwnRule]:
    """One rule for all pairs of a bridge: what a packet costs does not grow with them."""
    for bridge, protocol in sorted({(pair.bridge, pair.protocol) for pair in pairs if pair.family == family}):
        interface = names.interface(bridge)
        yield OwnRule(
            name,
            "ACCEPT",
            names.comment(bridge),
            in_interface=interface,
            out_interface=interface,
            protocol=protocol,
        )


def _redirected(name: str, ruleset: Ruleset, family: Family) -> Iterator[OwnRule]:
    established = Match("conntrack", "ctstate", "RELATED,ESTABLISHED")
    yield OwnRule(name, "ACCEPT", names.comment("established"), matches=(established,))
    # The host's own connections do not pass FORWARD.
    forwarded = (r for r in ruleset.redirects if r.family == family and (r.from_own_bridge or r.from_elsewhere))
    yield from dict.fromkeys(_accept(name, redirect) for redirect in forwarded)


def forward_chain_name(name: RulesetName) -> str:
    """REMEDY-BRIDGING-FORWARD."""
    return names.chain(name, "FORWARD")


def _accept(chain: str, redirect: Redirect) -> OwnRule:
    return OwnRule(
        chain,
        "ACCEPT",
        names.comment(redirect.container),
        destination=_host(redirect.to_address),
        protocol=redirect.protocol,
        matches=(_port(redirect.protocol, redirect.to_port), Match("conntrack", "ctstate", "DNAT")),
    )


def _guard_chains(ruleset: Ruleset) -> Iterator[OwnChain]:
    # Table raw: replies of our loopback connections still carry the gateway's address there, so whatever asks
    # for 127/8 was sent by a neighbour.
    name = names.chain(ruleset.name, "GUARD")
    what = names.comment("guard-localnet")
    if ruleset.guard_localnet:
        jump = OwnRule("PREROUTING", name, names.comment(ruleset.name), destination=_LOOPBACK[4])
        bridges = sorted(set(ruleset.guard_localnet))
        yield OwnChain(
            name,
            jump,
            tuple(OwnRule(name, "DROP", what, in_interface=names.interface(bridge)) for bridge in bridges),
            must_lead=False,
        )


def _untracking_chains(ruleset: Ruleset, family: Family) -> Iterator[OwnChain]:
    name = names.chain(ruleset.name, "PRE")
    rules = tuple(_of_pairs(name, NOTRACK_TARGET, ruleset.untracked, family))
    if rules:
        bridges = {rule.in_interface for rule in rules}
        # Most often there is one bridge; then nobody else's packets are looked at one by one.
        only = bridges.pop() if len(bridges) == 1 else None
        jump = OwnRule("PREROUTING", name, names.comment(ruleset.name), in_interface=only)
        yield OwnChain(name, jump, rules, must_lead=False)


def _all_but_loopback(ruleset: Ruleset) -> Iterator[OwnChain]:
    for part, hook in (("IN", "PREROUTING"), ("OUT", "OUTPUT")) if ruleset.all_but_loopback else ():
        name = names.chain(ruleset.name, part)
        comes, goes = ("lo", None) if hook == "PREROUTING" else (None, "lo")
        loopback = OwnRule(name, "RETURN", names.comment("loopback"), in_interface=comes, out_interface=goes)
        rules = (loopback, OwnRule(name, NOTRACK_TARGET, names.comment("all-but-loopback")))
        yield OwnChain(name, OwnRule(hook, name, names.comment(ruleset.name)), rules, must_lead=False)


def _of_pairs(chain: str, target: str, pairs: Iterable[UntrackedPair], family: Family) -> Iterator[OwnRule]:
    """Two rules for each pair: to the server, and from it."""
    for pair in pairs:
        if pair.family != family:
            continue
        client, server = _host(pair.client_address), _host(pair.server_address)
        for source, destination, port in ((client, server, "dport"), (server, client, "sport")):
            yield OwnRule(
                chain,
                target,
                names.comment(pair.server),
                source=source,
                destination=destination,
                in_interface=names.interface(pair.bridge),
                protocol=pair.protocol,
                matches=(Match(pair.protocol.value, port, str(pair.server_port)),),
            )


def _nat_chains(ruleset: Ruleset, family: Family) -> Iterator[OwnChain]:
    redirects = tuple(redirect for redirect in ruleset.redirects if redirect.family == family)
    local = (Match("addrtype", "dst-type", "LOCAL"),)
    translated = (Match("conntrack", "ctstate", "DNAT"),)
    parts = (
        ("PRE", "PREROUTING", local, _prerouting),
        ("OUT", "OUTPUT", local, _output),
        ("POST", "POSTROUTING", translated, _postrouting),
    )
    for part, hook, matches, fill in parts:
        name = names.chain(ruleset.name, part)
        rules = tuple(dict.fromkeys(fill(name, ruleset, redirects, family)))
        if any(rule.target != "RETURN" for rule in rules):
            jump = OwnRule(hook, name, names.comment(ruleset.name), matches=matches)
            yield OwnChain(name, jump, rules, must_lead=hook != "POSTROUTING")


def _prerouting(chain: str, ruleset: Ruleset, redirects: tuple[Redirect, ...], family: Family) -> Iterator[OwnRule]:
    reachable = [r for r in _pinned_first(redirects) if r.address is None or not r.address.is_loopback]
    elsewhere = [redirect for redirect in reachable if redirect.from_elsewhere]
    # The destination 127.0.0.1 is local too: a neighbour must not reach a container through it.
    yield OwnRule(chain, "RETURN", names.comment("never-loopback"), destination=_LOOPBACK[family])
    if family == 6:
        # The engine leaves link-local clients to docker-proxy (moby 28.0): no reply would find its way back.
        yield OwnRule(chain, "RETURN", names.comment("never-link-local"), source=_LINK_LOCAL)
    for redirect in reachable:
        if redirect.from_own_bridge:
            yield _dnat(chain, redirect, in_interface=names.interface(redirect.bridge))
    for bridge in sorted({*ruleset.engine_bridges, "lo"}) if elsewhere else ():
        yield OwnRule(chain, "RETURN", names.comment("inside"), in_interface=names.interface(bridge))
    yield from (_dnat(chain, redirect) for redirect in elsewhere)


def _output(chain: str, _ruleset: Ruleset, redirects: tuple[Redirect, ...], family: Family) -> Iterator[OwnRule]:
    loopback = _LOOPBACK[family]
    for redirect in _pinned_first(redirects):
        if redirect.from_loopback and (redirect.address is None or redirect.address.is_loopback):
            yield _dnat(chain, redirect, destination=loopback)
    yield OwnRule(chain, "RETURN", names.comment("loopback-as-before"), destination=loopback)
    for redirect in _pinned_first(redirects):
        if redirect.from_host and (redirect.address is None or not redirect.address.is_loopback):
            yield _dnat(chain, redirect)


def _postrouting(chain: str, _ruleset: Ruleset, redirects: tuple[Redirect, ...], family: Family) -> Iterator[OwnRule]:
    for redirect in redirects:
        pinned_to_loopback = redirect.address is not None and redirect.address.is_loopback
        if redirect.from_own_bridge and not pinned_to_loopback:
            # Without this the container would answer its neighbour directly, and the neighbour not know it.
            yield _masquerade(chain, redirect, redirect.subnet, names.interface(redirect.bridge))
        if redirect.from_loopback and (redirect.address is None or pinned_to_loopback):
            yield _masquerade(chain, redirect, _LOOPBACK[family], None)


def _dnat(
    chain: str, redirect: Redirect, *, destination: Subnet | None = None, in_interface: str | None = None
) -> OwnRule:
    host = f"[{redirect.to_address}]" if redirect.family == 6 else str(redirect.to_address)
    return OwnRule(
        chain,
        "DNAT",
        names.comment(redirect.container),
        destination=destination if redirect.address is None else _host(redirect.address),
        in_interface=in_interface,
        protocol=redirect.protocol,
        matches=(_port(redirect.protocol, redirect.port),),
        to=f"{host}:{redirect.to_port}",
    )


def _masquerade(chain: str, redirect: Redirect, source: Subnet, out_interface: str | None) -> OwnRule:
    return OwnRule(
        chain,
        "MASQUERADE",
        names.comment(redirect.container),
        source=source,
        destination=_host(redirect.to_address),
        out_interface=out_interface,
        protocol=redirect.protocol,
        matches=(_port(redirect.protocol, redirect.to_port),),
    )


def _pinned_first(redirects: Iterable[Redirect]) -> list[Redirect]:
    return sorted(redirects, key=lambda redirect: redirect.address is None)


def _port(protocol: Protocol, port: int) -> Match:
    return Match(protocol.value, "dport", str(port))


def _host(address: Address) -> Subnet:
    return ip_network(address)


def _option(name: str, value: object | None) -> tuple[str, ...]:
    return () if value is None else (f"{name} {value}",)
