"""The routing decision of one network namespace, from its addresses, routes and rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Interface, ip_address, ip_network

from remedy.facts.model import Address, NetNamespace, Route, RoutingRule, Subnet
from remedy.paths.source_address import Candidate, source6

LOCAL, MAIN, DEFAULT = "local", "main", "default"
_LOOPBACK_ADDRESS = ip_address("127.0.0.1")
_EVERYBODY = ip_address("255.255.255.255")
_FAILURES = {"unreachable", "prohibit", "blackhole", "throw"}


class UnknownRoute(Exception):
    """A routing rule that this model does not know could decide."""


def _is_loopback4(address: Address) -> bool:
    return address.version == 4 and int(address) >> 24 == 127


@dataclass(frozen=True, slots=True)
class RouteTo:
    """Where packets for an address go. kind: "local", "unicast", "broadcast", or a failure's name.

    source: the address that the route prefers for packets that have none yet.
    """

    kind: str
    interface: str | None = None
    next_hop: Address | None = None
    source: Address | None = None

    @property
    def is_local(self) -> bool:
        """Whether the packet is for this namespace itself."""
        return self.kind == LOCAL

    @property
    def leads_somewhere(self) -> bool:
        """Whether there is an interface to leave by."""
        return self.kind in ("unicast", LOCAL)


NO_ROUTE = RouteTo("unreachable")

_Prefixes = dict[int, dict[int, Route]]


class Routing:
    """The tables of a namespace, filed by length of prefix; building is linear in routes."""

    def __init__(self, space: NetNamespace) -> None:
        self._local = {a.address.ip: a.interface for a in space.addresses}
        self._by_interface: dict[tuple[str, int], list[tuple[Address, Subnet, str]]] = {}
        for item in space.addresses:
            entry = (item.address.ip, item.address.network, item.scope)
            self._by_interface.setdefault((item.interface, item.address.version), []).append(entry)
        self._candidates6 = [
            Candidate(item.address.ip, item.interface)
            for item in space.addresses
            if isinstance(item.address, IPv6Interface) and item.scope in ("global", "site")
        ]
        self._broadcasts = {
            item.address.network.broadcast_address
            for item in space.addresses
            if item.address.version == 4 and item.address.network.prefixlen < 31
        }
        self._preferred: dict[Address, Address] = {}
        self._tables: dict[tuple[str, int], _Prefixes] = {}
        for route in space.routes:
            self._file(route)
        self._lengths = {key: sorted(prefixes, reverse=True) for key, prefixes in self._tables.items()}
        self._rules = {family: _rules(space.rules, family) for family in (4, 6)}

    def _file(self, route: Route) -> None:
        if route.kind in ("broadcast", "anycast", "multicast", LOCAL) and route.table == LOCAL:
            if route.kind == LOCAL and route.destination is not None and route.interface is not None:
                self._file_local(route.destination, route.interface, route.prefsrc)
            return
        length = 0 if route.destination is None else route.destination.prefixlen
        base = 0 if route.destination is None else int(route.destination.network_address)
        prefixes = self._tables.setdefault((route.table, route.family), {}).setdefault(length, {})
        known = prefixes.get(base)
        if known is None or (route.metric or 0) < (known.metric or 0):
            prefixes[base] = route

    def _file_local(self, destination: Subnet, interface: str, source: Address | None) -> None:
        if destination.num_addresses == 1:
            self._local.setdefault(destination.network_address, interface)
            if source is not None:
                self._preferred[destination.network_address] = source

    def _own_source(self, to: Address) -> Address:
        """The source of packets to an own address: a secondary one is reached from its primary."""
        if _is_loopback4(to) and to not in self._preferred:
            return _LOOPBACK_ADDRESS
        return self._preferred.get(to, to)

    def owns(self, address: Address) -> bool:
        """Whether the address is this namespace's own."""
        return address in self._local or _is_loopback4(address)

    def has_family(self, family: int) -> bool:
        """Whether any address of this IP version is there, be it loopback's."""
        return family == 4 or any(address.version == family for address in self._local)

    def is_broadcast(self, address: Address) -> bool:
        """Whether it is a subnet's broadcast address."""
        return address in self._broadcasts or address == _EVERYBODY

    def lookup(
        self, to: Address, *, source: Address | None = None, mark: int = 0, in_interface: str | None = None
    ) -> RouteTo:
        """Where a packet goes. Raises UnknownRoute when a rule that is not known could decide."""
        if self.owns(to):
            return RouteTo(LOCAL, "lo", to, self._own_source(to))
        if self.is_broadcast(to):
            return RouteTo("broadcast")
        for rule in self._rules[to.version]:
            if not _applies(rule, to, source, mark, in_interface):
                continue
            if rule.table is None:
                return RouteTo(rule.extra.get("action", "unreachable"))
            route = self._match(rule.table, to)
            if route is not None and route.kind != "throw" and not _is_suppressed(route, rule):
                return self._answer(route, to)
        return NO_ROUTE

    def _match(self, table: str, to: Address) -> Route | None:
        key = (table, to.version)
        prefixes = self._tables.get(key)
        if prefixes is None:
            return None
        bits, number = to.max_prefixlen, int(to)
        for length in self._lengths[key]:
            shift = bits - length
            route = prefixes[length].get((number >> shift) << shift)
            if route is not None:
                return route
        return None

    def _answer(self, route: Route, to: Address) -> RouteTo:
        if route.kind in _FAILURES:
            return RouteTo(route.kind)
        if route.kind == LOCAL:
            return RouteTo(LOCAL, "lo", to, to)
        next_hop = route.gateway or to
        source = route.prefsrc or self.source_for(route.interface or "", to if to.version == 6 else next_hop)
        return RouteTo("unicast", route.interface, next_hop, source)

    def source_for(self, interface: str, to: Address) -> Address | None:
        """The address that packets get when they leave by the interface without one of their own.

        to: where they go; of IPv4 only the next hop counts (net/ipv4/devinet.c, inet_select_addr).
        """
        if isinstance(to, IPv6Address):
            return source6(self._candidates6, interface, to)
        own = self._by_interface.get((interface, to.version), ())
        for address, network, _ in own:
            if to in network:
                return address
        usable = [address for address, _, scope in own if scope == "global"]
        if usable:
            return usable[0]
        anywhere = (
            address
            for (name, version), entries in self._by_interface.items()
            if version == to.version and name != "lo"
            for address, _, scope in entries
            if scope == "global"
        )
        return next(anywhere, None)


def _rules(rules: Iterable[RoutingRule], family: int) -> tuple[RoutingRule, ...]:
    own = tuple(sorted((rule for rule in rules if rule.family == family), key=lambda rule: rule.priority))
    own = tuple(rule for rule in own if rule.table != LOCAL)  # the local table is asked first, as is usual
    if own:
        return own
    both = ((32766, MAIN), (32767, DEFAULT))
    return tuple(
        RoutingRule(family=6 if family == 6 else 4, priority=priority, source="all", table=table)
        for priority, table in both
    )


def _is_suppressed(route: Route, rule: RoutingRule) -> bool:
    """`suppress_prefixlength N`: routes of prefixes as short as this do not count (wg-quick: any but the default)."""
    length = 0 if route.destination is None else route.destination.prefixlen
    return length <= int(rule.extra.get("suppress_prefixlength", "-1"))


def _applies(rule: RoutingRule, to: Address, source: Address | None, mark: int, in_interface: str | None) -> bool:
    holds = all(_conditions(rule, to, source, mark, in_interface))
    return holds is not ("not" in rule.extra)


def _conditions(
    rule: RoutingRule, to: Address, source: Address | None, mark: int, in_interface: str | None
) -> Iterator[bool]:
    if rule.source != "all":
        yield source is not None and source in ip_network(rule.source, strict=False)
    for key, value in rule.extra.items():
        match key:
            case "fwmark":
                wanted, mask = int(value, 0), int(rule.extra.get("fwmask", "0xffffffff"), 0)
                yield (mark & mask) == wanted
            case "dst":
                length = rule.extra.get("dstlen")
                yield value == "all" or to in ip_network(f"{value}/{length}" if length else value, strict=False)
            case "iif":
                yield value == (in_interface or "lo")
            case "oif" | "tos" | "dsfield":
                yield False  # sockets that are bound to an interface, or ask for a service: none of these
            case "fwmask" | "dstlen" | "action" | "not" | "suppress_prefixlength":
                continue
            case _:
                raise UnknownRoute(f"routing rule {rule.priority} with {key} {value}")
