"""iptables-save text as typed rules. What is not known stays in the rule as unknown, with its text.

Options that follow `-m MODULE` belong to that module until the next `-m`; those of iptables itself may stand anywhere
(iptables 1.8, iptables-extensions(8)).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Literal

from remedy.facts.model import Address
from remedy.firewall import iptables_save
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
from remedy.netfilter.rules import (
    Accept,
    BaseChain,
    Chain,
    CopyMark,
    Dnat,
    Drop,
    Hook,
    Jump,
    Masquerade,
    Nothing,
    Notrack,
    Redirect,
    Reject,
    Return,
    Rule,
    RuleTable,
    SetMark,
    Snat,
    Statement,
    UnknownStatement,
)
from remedy.netfilter.values import Values

Sets = Mapping[str, IpSet]

_HOOKS = {"PREROUTING": Hook.PREROUTING, "INPUT": Hook.INPUT, "FORWARD": Hook.FORWARD}
_HOOKS |= {"OUTPUT": Hook.OUTPUT, "POSTROUTING": Hook.POSTROUTING}
# Where the kernel calls each table (linux/netfilter_ipv4.h); nat's differs by hook.
_PRIORITY = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}
_NAT_PRIORITY = {Hook.PREROUTING: -100, Hook.OUTPUT: -100, Hook.INPUT: 100, Hook.POSTROUTING: 100}
_PROTOCOLS = {"1": "icmp", "6": "tcp", "17": "udp", "132": "sctp", "58": "ipv6-icmp", "0": "all", "icmpv6": "ipv6-icmp"}
_ALL = "all"
# Targets that change or note something which no decision of this model hangs on.
_WITHOUT_CONSEQUENCE = frozenset(
    {"LOG", "NFLOG", "ULOG", "AUDIT", "TRACE", "TCPMSS", "CHECKSUM", "CLASSIFY", "DSCP", "TOS", "TTL", "HL", "ECN"}
    | {"TCPOPTSTRIP", "RATEEST", "LED", "IDLETIMER", "SECMARK", "CONNSECMARK", "SET"}
)
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


def tables_from_iptables(text: str, family: Family, variant: str, sets: Sets) -> tuple[RuleTable, ...]:
    """The tables of an iptables-save text. sets: the ipsets whose content was read. Raises InputError."""
    return tuple(_table(table, family, variant, sets) for table in iptables_save.parse(text).tables)


def _table(table: iptables_save.Table, family: Family, variant: str, sets: Sets) -> RuleTable:
    name = f"{'ip6tables' if family == 6 else 'iptables'}{'-legacy' if variant == 'legacy' else ''} {table.name}"
    own = {chain.name for chain in table.chains}
    found: dict[str, list[Rule]] = {chain.name: [] for chain in table.chains}
    for rule in table.rules:
        rules = found.setdefault(rule.chain, [])
        rules.append(_rule(rule, family, sets, own, f"{name} {rule.chain} {len(rules) + 1}"))
    chains = {chain: Chain(chain, tuple(rules)) for chain, rules in found.items()}
    bases = tuple(
        _base(table.name, chains[chain.name], chain.policy) for chain in table.chains if chain.policy is not None
    )
    return RuleTable(name, (family,), bases, chains)


def _base(table: str, chain: Chain, policy: str) -> BaseChain:
    hook = _HOOKS[chain.name]
    priority = _NAT_PRIORITY[hook] if table == "nat" else _PRIORITY.get(table, 0)
    kind: Literal["filter", "nat"] = "nat" if table == "nat" else "filter"
    return BaseChain(chain, hook, priority, kind, Drop() if policy == "DROP" else Accept())


def _rule(rule: iptables_save.Rule, family: Family, sets: Sets, chains: set[str], place: str) -> Rule:
    text = rule.specification
    try:
        matches, statements = _read(rule.options, family, sets, chains)
    except (ValueError, IndexError, KeyError) as error:
        matches, statements = [UnknownMatch(f"{text} ({error})")], [UnknownStatement(text)]
    return Rule(tuple(matches), tuple(statements), text, place)


def _read(
    options: Sequence[Option], family: Family, sets: Sets, chains: set[str]
) -> tuple[list[Match], list[Statement]]:
    """The rule's conditions and what it does. Raises ValueError, IndexError, KeyError for values out of form."""
    matches: list[Match] = []
    module, protocol = "", ""
    target: list[Option] = []
    groups: list[tuple[str, list[Option]]] = []
    for option in options:
        if target:
            target.append(option)
        elif option.name in ("-j", "-g"):
            target = [option]
        elif option.name in _PLAIN:
            matches += _PLAIN[option.name](option)
            protocol = _protocol(option.values[0]) if option.name == "-p" else protocol
        elif option.name == "-m":
            module = option.values[0]
            groups.append((module, []))
        else:
            if not groups and protocol:  # `-p tcp --dport 80`: the protocol's module is meant
                groups.append((protocol, []))
            if groups:
                groups[-1][1].append(option)
            else:
                matches.append(UnknownMatch(_text(option)))
    for module, own in groups:
        matches += _module(module, own, family, sets)
    return matches, [_target(target, family, chains)] if target else [Nothing()]


# --- conditions of iptables itself -------------------------------------------------------------------------------


def _protocol(word: str) -> str:
    return _PROTOCOLS.get(word, word)


def _about_protocol(option: Option) -> list[Match]:
    word = _protocol(option.values[0])
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


_PLAIN: dict[str, Callable[[Option], list[Match]]] = {
    "-p": _about_protocol,
    "-s": _about_address(Field.SOURCE),
    "-d": _about_address(Field.DESTINATION),
    "-i": _about_interface(Field.IN_INTERFACE),
    "-o": _about_interface(Field.OUT_INTERFACE),
    "-f": _about_fragment,
}


# --- modules -----------------------------------------------------------------------------------------------------


def _module(name: str, options: Sequence[Option], family: Family, sets: Sets) -> Iterator[Match]:
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
        yield Perhaps(" ".join([f"-m {name}", *map(_text, options)]))
    elif name == "pkttype":
        yield from (FieldMatch(Field.FAMILY, Values.of(family), ("unicast" in o.values) is o.negated) for o in options)
    else:
        yield UnknownMatch(" ".join([f"-m {name}", *map(_text, options)]))


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
            return UnknownMatch(_text(option))


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
        return FieldMatch(Field.PROTOCOL, Values.of(_protocol(value)), option.negated)
    return UnknownMatch(_text(option))


def _about_address_type(option: Option) -> Match:
    fields = {"--src-type": Field.SOURCE_TYPE, "--dst-type": Field.DESTINATION_TYPE}
    if option.name not in fields:
        return UnknownMatch(_text(option))  # --limit-iface-in, --limit-iface-out
    return FieldMatch(fields[option.name], Values.of(*option.values[0].split(",")), option.negated)


def _mark_match(field: Field) -> Callable[[Option], Match]:
    def read(option: Option) -> Match:
        value, mask = _value_and_mask(option.values[0])
        return FieldMatch(field, Values.of(value), option.negated, mask)

    return read


def _value_and_mask(text: str) -> tuple[int, int]:
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
            return UnknownMatch(_text(option))


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
        return UnknownMatch(" ".join(map(_text, options)))
    fields = [_SET_FIELDS[part, direction] for part, direction in zip(parts, directions, strict=False)]
    if "protocol" in found.parts:
        fields.append(Field.PROTOCOL)
    return SetMatch(name, tuple(fields), found.elements, option.negated)


# --- targets -----------------------------------------------------------------------------------------------------


_PLAIN_TARGETS: dict[str, Statement] = {
    "ACCEPT": Accept(),
    "DROP": Drop(),
    "RETURN": Return(),
    "MASQUERADE": Masquerade(),
    "NOTRACK": Notrack(),
}


def _target(options: Sequence[Option], family: Family, chains: set[str]) -> Statement:
    name = options[0].values[0]
    own = options[1:]
    if name in chains:
        return Jump(name, is_goto=options[0].name == "-g")
    if name in _PLAIN_TARGETS:
        return _PLAIN_TARGETS[name]
    match name:
        case "REJECT":
            default = "icmp6-port-unreachable" if family == 6 else "icmp-port-unreachable"
            return Reject(_value_of(own, "--reject-with") or default)
        case "DNAT":
            return _dnat(own)
        case "SNAT":
            return _snat(own)
        case "REDIRECT":
            ports = _value_of(own, "--to-ports")
            return Redirect(int(ports.partition("-")[0]) if ports else None)
        case "MARK" | "CONNMARK":
            return _mark(own, name)
        case "CT":
            return Notrack() if any(o.name == "--notrack" for o in own) else _or_unknown(options)
        case _:
            return Nothing(name) if name in _WITHOUT_CONSEQUENCE else _or_unknown(options)


def _or_unknown(options: Sequence[Option]) -> Statement:
    return UnknownStatement(" ".join(map(_text, options)))


def _value_of(options: Sequence[Option], name: str) -> str | None:
    return next((option.values[0] for option in options if option.name == name), None)


def _dnat(options: Sequence[Option]) -> Statement:
    found = _value_of(options, "--to-destination")
    if found is None:
        return _or_unknown(options)
    address, port = _split_destination(found)
    low, _, high = address.partition("-")
    first = ip_address(low) if low else None
    first_port, _, last_port = port.partition("/")[0].partition("-")
    is_certain = not high and not last_port
    return Dnat(first, int(first_port) if first_port else None, is_certain)


def _split_destination(text: str) -> tuple[str, str]:
    if text.startswith("["):
        address, _, rest = text[1:].partition("]")
        return address, rest.removeprefix(":")
    if text.count(":") > 1:
        return text, ""
    address, _, port = text.partition(":")
    return address, port


def _snat(options: Sequence[Option]) -> Statement:
    found = _value_of(options, "--to-source")
    if found is None:
        return _or_unknown(options)
    address, _ = _split_destination(found)
    low, _, high = address.partition("-")
    return Snat(_address(low), is_certain=not high)


def _address(text: str) -> Address:
    return ip_address(text)


def _mark(options: Sequence[Option], name: str) -> Statement:
    is_connection = name == "CONNMARK"
    for option in options:
        match option.name:
            case "--set-xmark":
                value, mask = _value_and_mask(option.values[0])
                return SetMark(value, mask, is_connection)
            case "--set-mark":
                value, mask = _value_and_mask(option.values[0])
                return SetMark(value, mask | value, is_connection)
            case "--or-mark":
                value = int(option.values[0], 0)
                return SetMark(value, value, is_connection)
            case "--restore-mark" if is_connection and len(options) == 1:
                return CopyMark()
            case "--save-mark" if is_connection and len(options) == 1:
                return CopyMark(to_connection=True)
    masks = {option.name: option.values[0] for option in options if option.values}
    if "--nfmask" in masks and masks.get("--nfmask") == masks.get("--ctmask"):
        saves = any(option.name == "--save-mark" for option in options)
        return CopyMark(int(masks["--nfmask"], 0), to_connection=saves)
    return _or_unknown(options)


def _text(option: Option) -> str:
    return " ".join([*(["!"] if option.negated else []), option.name, *option.values])
