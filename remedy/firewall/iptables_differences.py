"""What distinguishes remedy's iptables chains that should be there from those that are, in readable lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from remedy.firewall import names
from remedy.firewall.engine_rules import is_engine_rule
from remedy.firewall.iptables_rules import OwnChain, OwnTable
from remedy.firewall.iptables_save import Rule, Table, jumps_to, parse
from remedy.firewall.ruleset import RulesetName


def differences(wanted: Iterable[OwnTable], text: str, name: RulesetName) -> Iterator[str]:
    """Compare chains of a ruleset with the iptables-save text of their family.

    wanted: one OwnTable for every table that is to be looked at, without chains where there should be none.
    Raises InputError for text that is not iptables-save's.
    """
    saved = parse(text)
    for own in wanted:
        yield from _table(own, saved.table(own.name) or Table(own.name, (), ()), names.chain_prefix(name))


def own_chains(text: str) -> Iterator[tuple[str, str]]:
    """(table, chain) of every chain of remedy's in iptables-save text."""
    for table in parse(text).tables:
        yield from ((table.name, chain.name) for chain in table.chains if chain.name.startswith(names.CHAIN_PREFIX))


def _table(wanted: OwnTable, table: Table, prefix: str) -> Iterator[str]:
    where = f"{'iptables' if wanted.family == 4 else 'ip6tables'} table {table.name}, chain"
    present = {chain.name for chain in table.chains if chain.name.startswith(prefix)}
    for name in sorted(present - {chain.name for chain in wanted.chains}):
        yield f"{where} {name} should not exist"
    for chain in wanted.chains:
        if chain.name not in present:
            yield f"{where} {chain.name} is missing"
            continue
        yield from _rules(f"{where} {chain.name}", chain, table)
        yield from _jump(f"{where} {chain.jump.chain}", chain, table.rules_in(chain.jump.chain))


def _rules(place: str, wanted: OwnChain, table: Table) -> Iterator[str]:
    old = [rule.text for rule in wanted.rules]
    new = [rule.specification for rule in table.rules_in(wanted.name)]
    if old == new:
        return
    missing, foreign = Counter(old) - Counter(new), Counter(new) - Counter(old)
    yield from (f"{place}: rule is missing: {text}" for text in missing.elements())
    yield from (f"{place}: rule is not remedy's: {text}" for text in foreign.elements())
    if not missing and not foreign:
        yield f"{place}: the rules are in another order"


def _jump(place: str, wanted: OwnChain, rules: Sequence[Rule]) -> Iterator[str]:
    jumps = jumps_to(rules, wanted.name)
    if not jumps:
        yield f"{place}: the jump to {wanted.name} is missing"
        return
    if len(jumps) > 1:
        yield f"{place}: there are {len(jumps)} jumps to {wanted.name}"
    if jumps[0].specification != wanted.jump.text:
        yield f"{place}: the jump to {wanted.name} was changed: {jumps[0].specification}"
    ahead = [rule for rule in rules[: rules.index(jumps[0])] if is_engine_rule(rule)]
    if ahead and wanted.must_lead:
        yield f"{place}: the jump to {wanted.name} stands behind the engine's {ahead[0].specification}"
