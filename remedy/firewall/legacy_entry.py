"""A typed rule as the kernel's binary entry, built by python-iptables from libxtables' own parsers."""

from __future__ import annotations

import ctypes
import struct
from dataclasses import replace
from functools import cache
from ipaddress import IPv6Address
from typing import Any

from remedy.errors import MissingExtraError
from remedy.firewall.iptables_rules import NOTRACK_TARGET, Family, Match, OwnRule
from remedy.firewall.legacy_options import read_option_tables_of_any_version

_EXTENSIONS = frozenset({"DNAT", "MASQUERADE"})

_TARGET_HEADER = struct.Struct("=H29sB")  # struct xt_entry_target: size, name, revision
_NAT_RANGE = struct.Struct("=I16s16s2s2s")  # struct nf_nat_range: flags, addresses, ports
_NAT_RANGE_2 = struct.Struct("=I16s16s2s2s2x6x")  # struct nf_nat_range2: the same, base port; aligned to 8
_MAP_ADDRESSES, _MAP_PORTS = 1, 2  # NF_NAT_RANGE_MAP_IPS, NF_NAT_RANGE_PROTO_SPECIFIED


def build(rule: OwnRule, family: Family) -> Any:
    """The ipt_entry or ip6t_entry of a rule, as a ctypes buffer.

    Raises MissingExtraError without python-iptables.
    """
    try:
        import iptc
    except ImportError as error:
        raise MissingExtraError("legacy", "writing rules on a host with iptables-legacy") from error
    entry = _without_tables(iptc.Rule if family == 4 else iptc.Rule6)()
    for attribute, value in (
        ("src", rule.source),
        ("dst", rule.destination),
        ("in_interface", rule.in_interface),
        ("out_interface", rule.out_interface),
        ("protocol", rule.protocol),
    ):
        if value is not None:
            setattr(entry, attribute, str(value))
    if family == 6:
        _compare_whole_names(entry, rule)
    for match in (*rule.matches, Match("comment", "comment", rule.comment)):
        _add_match(entry, match)
    if family == 6 and rule.target in _EXTENSIONS:
        entry.target = _target(entry, replace(rule, target="ACCEPT", to=None))
        return _with_nat_target(entry, rule)
    entry.target = _target(entry, rule)
    return entry.rule


def _compare_whole_names(entry: Any, rule: OwnRule) -> None:
    """python-iptables 1.2.0 masks IPv6 interfaces with 0x01: by the lowest bit of each letter, br-a is br-c, too."""
    address = entry.entry.ipv6
    for attribute, name in (("iniface_mask", rule.in_interface), ("outiface_mask", rule.out_interface)):
        if name is not None:
            setattr(address, attribute, b"\xff" * (len(name) + 1))


@cache
def _without_tables(kind: Any) -> Any:
    """python-iptables' class, whose targets do not look for a chain of their name.

    They would open all five tables for it, which the kernel then makes, and calls for every packet from then on.
    """
    return type(kind.__name__, (kind,), {"tables": ()})


def _add_match(entry: Any, match: Match) -> None:
    made = entry.create_match(match.name)
    read_option_tables_of_any_version(made)
    made.set_parameter(match.option, match.value)
    # Not the public final_check(): that one prints the extension into a pipe which it puts in the place of the
    # whole process's stdout for the while, and reads it back; other threads' output would end in our rule.
    made._final_check()


def _target(entry: Any, rule: OwnRule) -> Any:
    from iptc import Target

    if rule.target in _EXTENSIONS:
        target = Target(entry, rule.target)
        if rule.to is not None:
            target.set_parameter("to-destination", rule.to)
        target._final_check()  # MASQUERADE's range is only filled in here (iptables 1.8.9)
        return target
    if rule.target == NOTRACK_TARGET:
        # Not the target NOTRACK, of which python-iptables makes a CT without any option.
        target = Target(entry, rule.target)
        read_option_tables_of_any_version(target)
        target.set_parameter("notrack", "")
        target._final_check()
        return target
    # Built as ACCEPT and renamed: for a chain's name python-iptables would look into all five tables, and by
    # reading create those that are not there yet. libiptc finds the chain at commit.
    target = Target(entry, "ACCEPT")
    target.standard_target = rule.target
    return target


def _with_nat_target(entry: Any, rule: OwnRule) -> Any:
    """The IPv6 rule with its DNAT or MASQUERADE, which python-iptables cannot build beside the IPv4 ones.

    libxtables 1.8.9 keeps DNAT and MASQUERADE in one shared object whose constructor registers them for one family
    only, the one that is set when it is loaded; calling it again ends the process ("already registered").
    The layout is the kernel's (linux/netfilter/nf_nat.h). DNAT as revision 2 with nf_nat_range2, Linux 4.18, which is
    the newest and the only one that ip6tables-save then decodes; MASQUERADE has revision 0 with nf_nat_range.
    """
    head = bytes(entry.rule)[: entry.entry.target_offset]
    revision, data = (2, _destination(rule.to)) if rule.to is not None else (0, bytes(_NAT_RANGE.size))
    target = _TARGET_HEADER.pack(_TARGET_HEADER.size + len(data), rule.target.encode(), revision) + data
    whole = (ctypes.c_ubyte * (len(head) + len(target))).from_buffer_copy(head + target)
    type(entry.entry).from_buffer(whole).next_offset = len(whole)
    return whole


def _destination(to: str) -> bytes:
    address, port = to.removeprefix("[").split("]:")
    packed, wire_port = IPv6Address(address).packed, int(port).to_bytes(2, "big")
    return _NAT_RANGE_2.pack(_MAP_ADDRESSES | _MAP_PORTS, packed, packed, wire_port, wire_port)
