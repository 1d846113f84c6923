"""The conditions of an iptables rule as matches: those of iptables itself, and those of its modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network

from remedy.firewall.iptables_save import Option
from remedy.netfilter.ipset import IpSet
from remedy.netfilter.matches import (
    Field,
    FieldMatch,
    Match,
    Never,
    Perhaps,
    ReversePathMatch,
    SetMatch,
    StateMatch,
    TcpFlagsMatch,
    UnknownMatch,
)
from remedy.netfilter.packet import Family
from remedy.netfilter.values import Values

Sets = Mapping[str, IpSet]

_PROTOCOLS = {"1": "icmp", "6": "tcp", "17": "udp", "132": "sctp", "58": "ipv6-icmp", "0": "all", "icmpv6": "ipv6-icmp"}
_ALL = "all"
# Conditions that hold for some packets of a connection, or that the facts cannot tell.
_BY_CHANCE = frozenset(
    {
        "limit",
        "hashlimit",
        "connlimit",
        "statistic",
        "recent",
        "time",
        "quota",
        "connbytes",
        "owner",
        "nfacct",
        "string",
    }
    | {"u32", "bpf", "length", "ttl", "tos", "dscp", "ecn", "cgroup", "rateest"}
)


def option_text(option: Option) -> str:
    """As it stands in the rule."""
    return " ".join([*(["!"] if option.negated else []), option.name, *option.values])


# --- conditions of iptables itself -------------------------------------------------------------------------------


def protocol_word(word: str) -> str:
    """A protocol's name, whichever way it is written."""
    return _PROTOCOLS.get(word, word)


def _about_protocol(option: Option) -> list[Match]:
    word = protocol_word(option.values[0])
    return [] if word == _ALL else [FieldMatch(Field.PROTOCOL, Values.of(word), option.negated)]


def _network_range(text: str) -> tuple[int, int]:
    address, _, mask = text.partition("/")
    if mask and not mask.isdigit() and ":" in mask:
        raise ValueError(f"a mask that is no prefix: {text}")
    network = ip_network(text, strict=False) if mask else ip_network(f"{address}")
    return int(network.network_address), int(network.broadcast_address)


def _about_address(field: Field) -> Callable[[Option], list[Match]]:
    return lambda option: [
        FieldMatch(field, Values.within([_network_range(text) for text in option.values[0].split(",")]), option.negated)
    ]


def interface_values(name: str, wildcard: str = "+") -> Values:
    """An interface's name, or all that begin with it."""
    return Values(prefixes=(name[:-1],)) if name.endswith(wildcard) else Values.of(name)


def _about_interface(field: Field) -> Callable[[Option], list[Match]]:
    return lambda option: [FieldMatch(field, interface_values(option.values[0]), option.negated)]


def _about_fragment(option: Option) -> list[Match]:
    return [] if option.negated else [Never("the first packet of a connection is no fragment")]


PLAIN: dict[str, Callable[[Option], list[Match]]] = {
    "-p": _about_protocol,
    "-s": _about_address(Field.SOURCE),
    "-d": _about_address(Field.DESTINATION),
    "-i": _about_interface(Field.IN_INTERFACE),
    "-o": _about_interface(Field.OUT_INTERFACE),
    "-f": _about_fragment,
}


# --- modules -----------------------------------------------------------------------------------------------------


def module_matches(name: str, options: Sequence[Option], family: Family, sets: Sets) -> Iterator[Match]:
    """The conditions of `-m NAME` with its options. Raises ValueError, IndexError, KeyError for values out of form."""
    if name == "comment":
        return
    if name in ("icmp", "icmp6"):
        yield Never("ICMP")
    elif name == "set":
        yield _set(options, sets)
    elif name == "tcp" or name in ("udp", "sctp", "multiport", "udplite", "dccp"):
        yield from (_about_ports(option) for option in options)
    elif name in _MODULES:
        yield from (_MODULES[name](option) for option in options)
    elif name == "rpfilter":
        words = {option.name for option in options}
        yield ReversePathMatch("--loose" not in words, "--invert" in words, "--validmark" in words)
    elif name in _BY_CHANCE:
        yield Perhaps(" ".join([f"-m {name}", *map(option_text, options)]))
    elif name == "pkttype":
        yield from (FieldMatch(Field.FAMILY, Values.of(family), ("unicast" in o.values) is o.negated) for o in options)
    else:
        yield UnknownMatch(" ".join([f"-m {name}", *map(option_text, options)]))


def port_ranges(text: str, separator: str = ":") -> list[tuple[int, int]]:
    """`80`, `80:90`, `80,443`, `:1023` as ranges."""
    ranges = []
    for part in text.split(","):
        low, found, high = part.partition(separator)
        ranges.append((int(low or 0), int(high or 65535) if found else int(low)))
    return ranges


def _about_ports(option: Option) -> Match:
    match option.name:
        case "--dport" | "--dports" | "--destination-port" | "--destination-ports":
            return FieldMatch(Field.DESTINATION_PORT, Values.within(port_ranges(option.values[0])), option.negated)
        case "--sport" | "--sports" | "--source-port" | "--source-ports":
            return FieldMatch(Field.SOURCE_PORT, Values.within(port_ranges(option.values[0])), option.negated)
        case "--tcp-flags":
            mask, compared = (_flags(word) for word in option.values[:2])
            return TcpFlagsMatch(mask, compared, option.negated)
        case "--syn":
            return TcpFlagsMatch(_flags("FIN,SYN,RST,ACK"), _flags("SYN"), option.negated)
        case _:
            return UnknownMatch(option_text(option))


def _flags(word: str) -> frozenset[str]:
    if word == "ALL":
        return frozenset({"FIN", "SYN", "RST", "PSH", "ACK", "URG"})
    return frozenset() if word == "NONE" else frozenset(word.split(","))


_CT_FIELDS = {
    "--ctorigsrc": Field.ORIGINAL_SOURCE,
    "--ctorigdst": Field.ORIGINAL_DESTINATION,
    "--ctorigsrcport": Field.ORIGINAL_SOURCE_PORT,
    "--ctorigdstport": Field.ORIGINAL_DESTINATION_PORT,
}


def _about_conntrack(option: Option) -> Match:
    value = option.values[0]
    if option.name in ("--ctstate", "--state"):
        return StateMatch(frozenset(value.split(",")), option.negated)
    if option.name == "--ctdir":
        return FieldMatch(Field.CT_DIRECTION, Values.of(value), option.negated)
    if option.name in ("--ctorigsrc", "--ctorigdst"):
        return FieldMatch(_CT_FIELDS[option.name], Values.within([_network_range(value)]), option.negated)
    if option.name in _CT_FIELDS:
        return FieldMatch(_CT_FIELDS[option.name], Values.within(port_ranges(value)), option.negated)
    if option.name == "--ctproto":
        return FieldMatch(Field.PROTOCOL, Values.of(protocol_word(value)), option.negated)
    return UnknownMatch(option_text(option))


def _about_address_type(option: Option) -> Match:
    fields = {"--src-type": Field.SOURCE_TYPE, "--dst-type": Field.DESTINATION_TYPE}
    if option.name not in fields:
        return UnknownMatch(option_text(option))  # --limit-iface-in, --limit-iface-out
    return FieldMatch(fields[option.name], Values.of(*option.values[0].split(",")), option.negated)


def _mark_match(field: Field) -> Callable[[Option], Match]:
    def read(option: Option) -> Match:
        value, mask = value_and_mask(option.values[0])
        return FieldMatch(field, Values.of(value), option.negated, mask)

    return read


def value_and_mask(text: str) -> tuple[int, int]:
    """`0x1/0xff` as numbers; without a mask all bits count. Raises ValueError."""
    value, _, mask = text.partition("/")
    return int(value, 0), int(mask, 0) if mask else 0xFFFFFFFF


def _about_bridge_port(option: Option) -> Match:
    match option.name:
        case "--physdev-in":
            return FieldMatch(Field.IN_PORT, interface_values(option.values[0]), option.negated)
        case "--physdev-out":
            return FieldMatch(Field.OUT_PORT, interface_values(option.values[0]), option.negated)
        case "--physdev-is-in":
            return FieldMatch(Field.IN_PORT, Values.of(""), not option.negated)
        case "--physdev-is-out" | "--physdev-is-bridged":
            return FieldMatch(Field.OUT_PORT, Values.of(""), not option.negated)
        case _:
            return UnknownMatch(option_text(option))


def _about_address_range(option: Option) -> Match:
    fields = {"--src-range": Field.SOURCE, "--dst-range": Field.DESTINATION}
    low, _, high = option.values[0].partition("-")
    ends = int(ip_address(low)), int(ip_address(high or low))
    return FieldMatch(fields[option.name], Values.within([ends]), option.negated)


_MODULES: dict[str, Callable[[Option], Match]] = {
    "conntrack": _about_conntrack,
    "state": _about_conntrack,
    "addrtype": _about_address_type,
    "mark": _mark_match(Field.MARK),
    "connmark": _mark_match(Field.CT_MARK),
    "physdev": _about_bridge_port,
    "iprange": _about_address_range,
}

_SET_FIELDS = {
    ("ip", "src"): Field.SOURCE,
    ("ip", "dst"): Field.DESTINATION,
    ("port", "src"): Field.SOURCE_PORT,
    ("port", "dst"): Field.DESTINATION_PORT,
}


def _set(options: Sequence[Option], sets: Sets) -> Match:
    option = next(option for option in options if option.name == "--match-set")
    name, directions = option.values[0], option.values[1].split(",")
    found = sets.get(name)
    parts = [] if found is None else [part for part in found.parts if part != "protocol"]
    if found is None or len(options) > 1 or len(parts) > len(directions):
        return UnknownMatch(" ".join(map(option_text, options)))
    fields = [_SET_FIELDS[part, direction] for part, direction in zip(parts, directions, strict=False)]
    if "protocol" in found.parts:
        fields.append(Field.PROTOCOL)
    return SetMatch(name, tuple(fields), found.elements, option.negated)
