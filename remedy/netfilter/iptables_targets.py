"""What an iptables rule does with a packet, as statements."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from remedy.facts.model import Address
from remedy.firewall.iptables_save import Option
from remedy.netfilter.iptables_matches import option_text, value_and_mask
from remedy.netfilter.packet import Family
from remedy.netfilter.rules import (
    Accept,
    CopyMark,
    Dnat,
    Drop,
    Jump,
    Masquerade,
    Nothing,
    Notrack,
    Redirect,
    Reject,
    Return,
    SetMark,
    Snat,
    Statement,
    UnknownStatement,
)

# Targets that change or note something which no decision of this model hangs on.
_WITHOUT_CONSEQUENCE = frozenset(
    {"LOG", "NFLOG", "ULOG", "AUDIT", "TRACE", "TCPMSS", "CHECKSUM", "CLASSIFY", "DSCP", "TOS", "TTL", "HL", "ECN"}
    | {"TCPOPTSTRIP", "RATEEST", "LED", "IDLETIMER", "SECMARK", "CONNSECMARK", "SET"}
)
_PLAIN_TARGETS: dict[str, Statement] = {
    "ACCEPT": Accept(),
    "DROP": Drop(),
    "RETURN": Return(),
    "MASQUERADE": Masquerade(),
    "NOTRACK": Notrack(),
}


def target_statement(options: Sequence[Option], family: Family, chains: set[str]) -> Statement:
    """`-j NAME` with its options. Raises ValueError, IndexError, KeyError for values out of form."""
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
    return UnknownStatement(" ".join(map(option_text, options)))


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
                value, mask = value_and_mask(option.values[0])
                return SetMark(value, mask, is_connection)
            case "--set-mark":
                value, mask = value_and_mask(option.values[0])
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
