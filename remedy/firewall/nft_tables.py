"""What remedy's nft tables contain for a Ruleset.

Every port is an element of a map, so neither the number of rules nor the cost of a packet grows with the number
of ports. The priorities put our nat chains just before the engine's (dstnat -100, srcnat 100): the first chain
that translates a connection wins, the later ones are not asked (netfilter, nf_nat_inet_fn).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address

from remedy.facts.model import Address
from remedy.firewall import names
from remedy.firewall.nft_model import FAMILIES, Family, NftChain, NftSet, NftTable
from remedy.firewall.ruleset import Redirect, Ruleset, UntrackedPair

PRIORITY_RAW, PRIORITY_BEFORE_DNAT, PRIORITY_BEFORE_SNAT = -300, -105, 95

_LOOPBACK = {"ip": "127.0.0.0/8", "ip6": "::1"}
_ADDRESS_TYPE = {"ip": "ipv4_addr", "ip6": "ipv6_addr"}
_FAMILY_VERSION = {"ip": 4, "ip6": 6}
_TARGET = "meta l4proto . {family} daddr . th dport"


def tables(ruleset: Ruleset) -> tuple[NftTable, ...]:
    """The nft tables of a ruleset: `ip remedy_<name>` and `ip6 remedy_<name>`, where it has rules of that family.

    Raises RefusedError for an interface name that cannot be written.
    """
    built = (_table(ruleset, family) for family in FAMILIES)
    return tuple(table for table in built if table.chains)


def _table(ruleset: Ruleset, family: Family) -> NftTable:
    untracked = [pair for pair in ruleset.untracked if pair.family == _FAMILY_VERSION[family]]
    by_bridge = tuple(_by_bridge(untracked, family))
    sets = {item.name: item for item in (*_sets(ruleset, family), *(each.pairs for each in by_bridge)) if item.elements}
    chains = [
        _chain("guard_localnet", "filter", "prerouting", PRIORITY_RAW, _guard(sets)),
        *(each.chain for each in by_bridge),
        _chain("untrack", "filter", "prerouting", PRIORITY_RAW, (each.jump for each in by_bridge)),
        *(_all_but_loopback() if ruleset.all_but_loopback and family == "ip" else ()),
        _chain("prerouting", "nat", "prerouting", PRIORITY_BEFORE_DNAT, _prerouting(sets, family)),
        _chain("output", "nat", "output", PRIORITY_BEFORE_DNAT, _output(sets, family)),
        _chain("postrouting", "nat", "postrouting", PRIORITY_BEFORE_SNAT, _postrouting(sets, family)),
    ]
    return NftTable(
        family,
        names.nft_table(ruleset.name),
        tuple(sets.values()),
        tuple(chain for chain in chains if chain.rules),
    )


def _chain(name: str, kind: str, hook: str, priority: int, rules: Iterable[str]) -> NftChain:
    return NftChain(name, kind, hook, priority, "accept", tuple(rules))


def _rule(text: str, what: str) -> str:
    return f'{text} comment "{names.comment(what)}"'


# --- sets and maps ---------------------------------------------------------------------------------------------


def _sets(ruleset: Ruleset, family: Family) -> Iterator[NftSet]:
    redirects = [r for r in ruleset.redirects if r.family == _FAMILY_VERSION[family]]
    # What is pinned to 127.x serves loopback only; what is pinned to another address never does.
    reachable = [r for r in redirects if r.address is None or not r.address.is_loopback]
    on_loopback = [r for r in redirects if r.from_loopback and (r.address is None or r.address.is_loopback)]
    own = [r for r in reachable if r.from_own_bridge]
    elsewhere = [r for r in reachable if r.from_elsewhere]
    if family == "ip":
        yield NftSet("guarded_bridges", "ifname", _interfaces(ruleset.guard_localnet))
    if elsewhere:
        yield NftSet("inside", "ifname", _interfaces((*ruleset.engine_bridges, "lo")))
    yield from _maps("own_bridge", own, family, by_bridge=True)
    yield from _maps("elsewhere", elsewhere, family)
    yield from _maps("host", [r for r in reachable if r.from_host], family)
    yield from _maps("loopback", on_loopback, family)
    yield _subnets("own_subnets", own, family)
    yield _targets("own_targets", own, family)
    yield _targets("loopback_targets", on_loopback, family)


def _maps(name: str, redirects: Sequence[Redirect], family: Family, by_bridge: bool = False) -> Iterator[NftSet]:
    """The map for redirects of one pinned address each (`<name>_at`), and the one for any local address."""
    address, bridge = _ADDRESS_TYPE[family], ("ifname",) if by_bridge else ()
    for pinned in (True, False):
        chosen = [r for r in redirects if (r.address is not None) == pinned]
        key_type = (*bridge, *((address,) if pinned else ()), "inet_proto", "inet_service")
        elements = (_mapping(redirect, by_bridge) for redirect in sorted(chosen, key=_order))
        yield NftSet(
            f"{name}_at" if pinned else name,
            " . ".join(key_type),
            _distinct(elements),
            maps_to=f"{address} . inet_service",
        )


def _mapping(redirect: Redirect, by_bridge: bool) -> str:
    bridge = [f'"{names.interface(redirect.bridge)}"'] if by_bridge else []
    address = [str(redirect.address)] if redirect.address is not None else []
    key = " . ".join([*bridge, *address, redirect.protocol.value, str(redirect.port)])
    comment = names.comment(redirect.container)
    return f'{key} comment "{comment}" : {redirect.to_address} . {redirect.to_port}'


def _subnets(name: str, redirects: Iterable[Redirect], family: Family) -> NftSet:
    elements = sorted(f'"{names.interface(r.bridge)}" . {r.subnet}' for r in redirects)
    return NftSet(name, f"ifname . {_ADDRESS_TYPE[family]}", _distinct(elements), flags=("interval",))


def _targets(name: str, redirects: Iterable[Redirect], family: Family) -> NftSet:
    elements = (f"{r.protocol.value} . {r.to_address} . {r.to_port}" for r in sorted(redirects, key=_order))
    return NftSet(name, f"inet_proto . {_ADDRESS_TYPE[family]} . inet_service", _distinct(elements))


def _interfaces(bridges: Iterable[str]) -> tuple[str, ...]:
    return tuple(f'"{names.interface(name)}"' for name in sorted(set(bridges)))


def _distinct(elements: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(elements))


def _order(redirect: Redirect) -> tuple[str, str, int, int]:
    address: Address = redirect.address or IPv6Address(0)
    return redirect.bridge, redirect.protocol.value, redirect.port, int(address)


# --- rules -----------------------------------------------------------------------------------------------------

_NOT_LOCAL = _rule("fib daddr type != local return", "not-for-this-host")


def _guard(sets: dict[str, NftSet]) -> Iterator[str]:
    # At priority raw replies of our loopback connections still carry the gateway's address (the translation is
    # undone at -100), so whatever asks for 127/8 here was sent by a neighbour.
    if "guarded_bridges" in sets:
        yield _rule("ip daddr 127.0.0.0/8 iifname @guarded_bridges drop", "guard-localnet")


def _prerouting(sets: dict[str, NftSet], family: Family) -> Iterator[str]:
    own = list(_translations(sets, "own_bridge", family, "own-bridge"))
    elsewhere = list(_translations(sets, "elsewhere", family, "elsewhere"))
    if not own and not elsewhere:
        return
    # The destination 127.0.0.1 is local too: a neighbour must not reach a container through it.
    yield _rule(f"{family} daddr {_LOOPBACK[family]} return", "never-loopback")
    if family == "ip6":
        # The engine leaves link-local clients to docker-proxy (moby 28.0): no reply would find its way back.
        yield _rule("ip6 saddr fe80::/10 return", "never-link-local")
    yield _NOT_LOCAL
    yield from own
    if elsewhere:
        yield _rule("iifname @inside return", "inside")
    yield from elsewhere


def _output(sets: dict[str, NftSet], family: Family) -> Iterator[str]:
    loopback = list(_translations(sets, "loopback", family, "loopback"))
    host = list(_translations(sets, "host", family, "host"))
    if loopback or host:
        yield _NOT_LOCAL
    yield from loopback
    if host:
        yield _rule(f"{family} daddr {_LOOPBACK[family]} return", "loopback-as-before")
    yield from host


def _postrouting(sets: dict[str, NftSet], family: Family) -> Iterator[str]:
    target = _TARGET.format(family=family)
    if "own_targets" in sets:
        # Without this the container would answer its neighbour directly, and the neighbour not know it.
        yield _rule(
            f"ct status dnat oifname . {family} saddr @own_subnets {target} @own_targets masquerade",
            "masquerade-own-bridge",
        )
    if "loopback_targets" in sets:
        yield _rule(
            f"ct status dnat {family} saddr {_LOOPBACK[family]} {target} @loopback_targets masquerade",
            "masquerade-loopback",
        )


def _translations(sets: dict[str, NftSet], name: str, family: Family, what: str) -> Iterator[str]:
    """The DNAT rules by the maps of that name, the pinned addresses first."""
    by_bridge = "iifname . " if name == "own_bridge" else ""
    condition = f"{family} daddr {_LOOPBACK[family]} " if name == "loopback" else ""
    for table, address in ((f"{name}_at", f"{family} daddr . "), (name, "")):
        if table in sets:
            key = f"{by_bridge}{address}meta l4proto . th dport"
            yield _rule(f"{condition}dnat {family} to {key} map @{table}", what)


# --- untracked pairs -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _OfBridge:
    """The pairs of one bridge: their set, the chain that looks them up, and the rule that leads into it."""

    pairs: NftSet
    chain: NftChain
    jump: str


def _by_bridge(pairs: Sequence[UntrackedPair], family: Family) -> Iterator[_OfBridge]:
    """A chain for each bridge: others' packets meet one comparison, and the bridge is no part of the key.

    Two look-ups with the interface's 16 bytes in the key took 1 to 4 % of a new connection more (three runs).
    """
    bridges = sorted({names.interface(pair.bridge) for pair in pairs})
    for number, bridge in enumerate(bridges, start=1):
        found = _pairs(f"pairs_{number}", [pair for pair in pairs if pair.bridge == bridge], family)
        chain = NftChain(f"bridge_{number}", None, None, None, None, tuple(_untrack(found.name, family)))
        yield _OfBridge(found, chain, _rule(f'iifname "{bridge}" jump {chain.name}', "pairs"))


def _pairs(name: str, pairs: Iterable[UntrackedPair], family: Family) -> NftSet:
    address = _ADDRESS_TYPE[family]
    elements = (
        f"{pair.protocol.value} . {pair.client_address} . {pair.server_address} . {pair.server_port} "
        f'comment "{names.comment(pair.server)}"'
        for pair in pairs
    )
    return NftSet(name, f"inet_proto . {address} . {address} . inet_service", _distinct(elements))


def _untrack(pairs: str, family: Family) -> Iterator[str]:
    # One look-up for each direction, however many pairs there are.
    there = f"meta l4proto . {family} saddr . {family} daddr . th dport"
    back = f"meta l4proto . {family} daddr . {family} saddr . th sport"
    yield _rule(f"{there} @{pairs} notrack return", "to-server")
    yield _rule(f"{back} @{pairs} notrack", "from-server")


def _all_but_loopback() -> Iterator[NftChain]:
    for hook, interface in (("prerouting", "iifname"), ("output", "oifname")):
        rule = _rule(f'{interface} != "lo" notrack', "all-but-loopback")
        yield _chain(f"untrack_{hook}", "filter", hook, PRIORITY_RAW, (rule,))
