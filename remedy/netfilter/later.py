"""Whether rules may treat a connection's later packets otherwise than its first: then these are walked, too.

A client's second packet differs from the first in conntrack's state and in its TCP flags, so only rules that ask for
one of the two can lose what let the first through: `--ctstate NEW -j ACCEPT` above a DROP, or `! --syn -j DROP`.
"""

from __future__ import annotations

from collections.abc import Iterable

from remedy.netfilter.matches import Field, Match, StateMatch, TcpFlagsMatch
from remedy.netfilter.rules import Accept, Drop, Nothing, Reject, Return, Rule, RuleTable, Statement, VerdictMap, When


def tells_later_packets_apart(tables: Iterable[RuleTable]) -> bool:
    """Whether any rule lets a first packet through and not a later one, or refuses only later ones."""
    return any(_tells_apart(rule) for table in tables for chain in table.chains.values() for rule in chain.rules)


def _tells_apart(rule: Rule) -> bool:
    if any(map(_is_refusing_map, rule.statements)):
        return True
    first, later = _takes(rule.matches, "NEW"), _takes(rule.matches, "ESTABLISHED", "INVALID")
    if any(isinstance(match, TcpFlagsMatch) for match in rule.matches):
        return not all(isinstance(statement, Nothing) for statement in rule.statements)
    if first and not later:
        return not all(map(_refuses_or_nothing, rule.statements))
    return later and not first and not all(map(_lets_through, rule.statements))


def _takes(matches: Iterable[Match], *states: str) -> bool:
    """Whether the conditions on states leave one of these in."""
    asked = [match for match in matches if isinstance(match, StateMatch)]
    return any(all((state in match.states) is not match.negated for match in asked) for state in states)


def _refuses_or_nothing(statement: Statement) -> bool:
    return isinstance(statement, Drop | Reject | Nothing)


def _lets_through(statement: Statement) -> bool:
    return isinstance(statement, Accept | Return | Nothing)


def _is_refusing_map(statement: Statement) -> bool:
    match statement:
        case VerdictMap(fields, elements) if Field.CT_STATE in fields:
            return not all(isinstance(verdict, Accept | Nothing) for _, verdict in elements)
        case When(_, statements):
            return any(map(_is_refusing_map, statements))
        case _:
            return False
