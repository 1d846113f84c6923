"""iptables-save text as typed rules. What is not known stays in the rule as unknown, with its text.

Options that follow `-m MODULE` belong to that module until the next `-m`; those of iptables itself may stand anywhere
(iptables 1.8, iptables-extensions(8)).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from remedy.firewall import iptables_save
from remedy.firewall.iptables_save import Option
from remedy.netfilter.iptables_matches import PLAIN, Sets, module_matches, option_text, protocol_word
from remedy.netfilter.iptables_targets import target_statement
from remedy.netfilter.matches import Match, UnknownMatch
from remedy.netfilter.packet import Family
from remedy.netfilter.rules import (
    Accept,
    BaseChain,
    Chain,
    Drop,
    Hook,
    Nothing,
    Rule,
    RuleTable,
    Statement,
    UnknownStatement,
)

_HOOKS = {"PREROUTING": Hook.PREROUTING, "INPUT": Hook.INPUT, "FORWARD": Hook.FORWARD}
_HOOKS |= {"OUTPUT": Hook.OUTPUT, "POSTROUTING": Hook.POSTROUTING}
# Where the kernel calls each table (linux/netfilter_ipv4.h); nat's differs by hook.
_PRIORITY = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}
_NAT_PRIORITY = {Hook.PREROUTING: -100, Hook.OUTPUT: -100, Hook.INPUT: 100, Hook.POSTROUTING: 100}


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
        elif option.name in PLAIN:
            matches += PLAIN[option.name](option)
            protocol = protocol_word(option.values[0]) if option.name == "-p" else protocol
        elif option.name == "-m":
            module = option.values[0]
            groups.append((module, []))
        else:
            if not groups and protocol:  # `-p tcp --dport 80`: the protocol's module is meant
                groups.append((protocol, []))
            if groups:
                groups[-1][1].append(option)
            else:
                matches.append(UnknownMatch(option_text(option)))
    for module, own in groups:
        matches += module_matches(module, own, family, sets)
    return matches, [target_statement(target, family, chains)] if target else [Nothing()]
