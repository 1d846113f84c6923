"""`nft -j list` output of one table as typed rules (libnftables-json(5)). What is not known keeps its text.

Some chains of iptables-nft appear in the same JSON with `xt` expressions; these tables are read as iptables-save text
instead and never come here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from remedy.netfilter.matches import Match, UnknownMatch
from remedy.netfilter.nft_conditions import condition
from remedy.netfilter.nft_expressions import Json, NotKnownError, Sets
from remedy.netfilter.nft_statements import statement
from remedy.netfilter.nft_words import item_words, rule_words
from remedy.netfilter.packet import Family
from remedy.netfilter.rules import (
    Accept,
    BaseChain,
    Chain,
    Drop,
    Hook,
    Rule,
    RuleTable,
    Statement,
    UnknownStatement,
    When,
)

_FAMILIES: dict[str, tuple[Family, ...]] = {"ip": (4,), "ip6": (6,), "inet": (4, 6)}
_HOOKS = {hook.value: hook for hook in Hook}


def table_from_nft(name: str, items: Sequence[Json], interfaces: Mapping[int, str]) -> RuleTable | None:
    """One table; name is "FAMILY NAME"; interfaces: names by index, which `iif` and `oif` compare.

    None for tables that IP packets do not meet (arp, bridge, netdev).
    """
    family, _, own_name = name.partition(" ")
    if family not in _FAMILIES:
        return None
    sets = Sets(interfaces=dict(interfaces))
    chains: dict[str, Mapping[str, Json]] = {}
    rules: dict[str, list[Mapping[str, Json]]] = {}
    for item in items:
        for kind, value in item.items():
            if not isinstance(value, Mapping) or value.get("table", own_name) != own_name:
                continue
            if kind == "chain":
                chains[value["name"]] = value
            elif kind == "rule":
                rules.setdefault(value["chain"], []).append(value)
            elif kind in ("set", "map"):
                sets.elements[value["name"]] = list(value.get("elem", ()))
    typed = {
        chain: Chain(chain, tuple(_rule(rule, sets, f"nft {name} {chain} {n}") for n, rule in enumerate(own, 1)))
        for chain, own in ((chain, rules.get(chain, [])) for chain in chains)
    }
    bases = tuple(_base(chain, typed[key]) for key, chain in chains.items() if chain.get("hook") in _HOOKS)
    return RuleTable(f"nft {name}", _FAMILIES[family], bases, typed)


def _base(chain: Mapping[str, Json], typed: Chain) -> BaseChain:
    kind: Literal["filter", "nat", "route"] = chain.get("type", "filter")
    policy = Drop() if chain.get("policy") == "drop" else Accept()
    return BaseChain(typed, _HOOKS[chain["hook"]], int(chain.get("prio", 0)), kind, policy)


def _rule(rule: Mapping[str, Json], sets: Sets, place: str) -> Rule:
    expressions = [item for item in rule.get("expr", ()) if "counter" not in item]
    matches: list[Match] = []
    statements: list[Statement] = []
    for item in expressions:
        found = _item(item, sets)
        if isinstance(found, list):
            if statements:
                rest = _rest(expressions[expressions.index(item) :], sets)
                statements.append(rest)
                break
            matches += found
        else:
            statements.append(found)
    return Rule(tuple(matches), tuple(statements), rule_words(rule), place)


def _rest(items: Sequence[Json], sets: Sets) -> Statement:
    """Conditions after a statement: what follows is done only where they hold."""
    rule = _rule({"expr": list(items)}, sets, "")
    return When(rule.matches, rule.statements)


def _item(item: Mapping[str, Json], sets: Sets) -> list[Match] | Statement:
    kind, value = next(iter(item.items()))
    try:
        return condition(kind, value, sets) or statement(kind, value, sets)
    except (NotKnownError, ValueError, KeyError, TypeError, IndexError):
        if kind == "match":
            return [UnknownMatch(item_words(item))]
        return UnknownStatement(item_words(item))
