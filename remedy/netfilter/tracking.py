"""Whether a table's rules make the kernel track connections.

Loading conntrack does not: its hooks are registered in a network namespace when the first rule there needs them, one
that asks for a connection's state or translates (nf_ct_netns_get in xt_conntrack, xt_nat, nft_ct, nft_nat, nft_masq). A
nat table of empty chains tracks nothing (seen: with docker-proxy on, IPv6 loopback leaves no entry on 28.5 and 29.7).
"""

from __future__ import annotations

from collections.abc import Iterable

from remedy.netfilter.matches import Field, FieldMatch, Match, SetMatch, StateMatch
from remedy.netfilter.rules import (
    CopyMark,
    Dnat,
    MappedDnat,
    Masquerade,
    Notrack,
    Redirect,
    Rule,
    RuleTable,
    SetMark,
    Snat,
    Statement,
    VerdictMap,
    When,
)

_OF_A_CONNECTION = frozenset(
    {
        Field.CT_MARK,
        Field.CT_STATE,
        Field.CT_STATUS,
        Field.CT_DIRECTION,
        Field.ORIGINAL_SOURCE,
        Field.ORIGINAL_DESTINATION,
        Field.ORIGINAL_SOURCE_PORT,
        Field.ORIGINAL_DESTINATION_PORT,
    }
)


def needs_conntrack(table: RuleTable) -> bool:
    """Whether any rule of the table asks conntrack or has it translate."""
    return any(_needs(rule) for chain in table.chains.values() for rule in chain.rules)


def _needs(rule: Rule) -> bool:
    return any(map(_asks, rule.matches)) or _any_works(rule.statements)


def _asks(match: Match) -> bool:
    match match:
        case StateMatch():
            return True
        case FieldMatch(field):
            return field in _OF_A_CONNECTION
        case SetMatch(_, fields):
            return not _OF_A_CONNECTION.isdisjoint(fields)
        case _:
            return False


def _any_works(statements: Iterable[Statement]) -> bool:
    return any(map(_works, statements))


def _works(statement: Statement) -> bool:
    match statement:
        case Dnat() | MappedDnat() | Snat() | Masquerade() | Redirect() | CopyMark() | Notrack():
            return True
        case SetMark(is_connection=is_connection):
            return is_connection
        case When(matches, statements):
            return any(map(_asks, matches)) or _any_works(statements)
        case VerdictMap(fields):
            return not _OF_A_CONNECTION.isdisjoint(fields)
        case _:
            return False
