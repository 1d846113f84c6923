"""Which rules make conntrack work: outside the first namespace it sleeps until one needs it.

The kernel counts users for each family (net/netfilter/nf_conntrack_proto.c, nf_ct_netns_get): matches and targets of
conntrack, marks of connections, and every translation, whatever chain they stand in; an empty nat table is none.
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
    RuleTable,
    SetMark,
    Snat,
    Statement,
    VerdictMap,
    When,
)

_OF_CONNTRACK = frozenset(
    {Field.CT_MARK, Field.CT_STATE, Field.CT_STATUS, Field.CT_DIRECTION, Field.ORIGINAL_SOURCE}
    | {Field.ORIGINAL_DESTINATION, Field.ORIGINAL_SOURCE_PORT, Field.ORIGINAL_DESTINATION_PORT}
)
_TRANSLATIONS = (Dnat, MappedDnat, Snat, Masquerade, Redirect, CopyMark, Notrack)


def needs_conntrack(table: RuleTable) -> bool:
    """Whether any rule of a table makes conntrack watch the packets of the table's families."""
    return any(
        _any_match(rule.matches) or _any_statement(rule.statements)
        for chain in table.chains.values()
        for rule in chain.rules
    )


def _any_match(matches: Iterable[Match]) -> bool:
    return any(map(_is_of_conntrack, matches))


def _is_of_conntrack(match: Match) -> bool:
    match match:
        case StateMatch():
            return True
        case FieldMatch(field):
            return field in _OF_CONNTRACK
        case SetMatch(_, fields):
            return any(field in _OF_CONNTRACK for field in fields)
        case _:
            return False


def _any_statement(statements: Iterable[Statement]) -> bool:
    return any(map(_uses_conntrack, statements))


def _uses_conntrack(statement: Statement) -> bool:
    match statement:
        case SetMark():
            return statement.is_connection
        case When(matches, statements):
            return _any_match(matches) or _any_statement(statements)
        case VerdictMap(fields):
            return any(field in _OF_CONNTRACK for field in fields)
        case _:
            return isinstance(statement, _TRANSLATIONS)
