"""The writer for hosts with iptables-legacy: own chains, one jump each, one commit per table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from remedy.facts.model import FirewallBackend, FirewallFacts
from remedy.firewall import names
from remedy.firewall.forward_guard import forward_guard, guard_table, remove_forward_guard
from remedy.firewall.iptables_differences import differences, own_chains
from remedy.firewall.iptables_rules import Family, OwnChain, OwnTable, tables
from remedy.firewall.iptables_variant import read_saved, saved_text
from remedy.firewall.legacy_entry import build
from remedy.firewall.legacy_table import LegacyTable, change_table, existing_tables, open_table
from remedy.firewall.ruleset import Ruleset, RulesetName

_BACKEND = FirewallBackend.IPTABLES_LEGACY
_FAMILIES: tuple[Family, ...] = (4, 6)
_TABLES = ("raw", "nat")  # in the order of writing: what guards comes before what opens


class LegacyWriter:
    """Writes chains `REMEDY-<NAME>-*`; see RulesWriter."""

    def write(self, ruleset: Ruleset) -> None:
        """Replace our chains table by table, each in one commit; the accept in FORWARD first if it is needed.

        One for speed alone comes after them: the pairs wait for nothing.
        """
        if ruleset.forward_guard:
            forward_guard(_BACKEND, ruleset).write()
        wanted = {(table.family, table.name): table.chains for table in tables(ruleset)}
        for family in _FAMILIES:
            for name in _TABLES:
                _replace(name, family, ruleset.name, wanted.get((family, name), ()))
        if ruleset.accept_ahead and not ruleset.forward_guard:
            forward_guard(_BACKEND, ruleset).write()
        elif not ruleset.forward_guard:
            remove_forward_guard(_BACKEND, ruleset.name)

    def remove(self, name: RulesetName) -> None:
        """Delete our jumps and chains, in the tables that exist."""
        for family in _FAMILIES:
            for table in reversed(_TABLES):
                _replace(table, family, name, ())
        remove_forward_guard(_BACKEND, name)

    def read_differences(self, ruleset: Ruleset) -> tuple[str, ...]:
        """Read iptables-legacy-save now and compare."""
        return _compare(ruleset, lambda family: read_saved(family, "legacy"))

    def differences(self, ruleset: Ruleset, facts: FirewallFacts) -> tuple[str, ...]:
        """Compare with the legacy text in the facts."""
        return _compare(ruleset, lambda family: saved_text(facts, family, "legacy"))

    def present_names(self, facts: FirewallFacts) -> tuple[RulesetName, ...]:
        """The rulesets that have a chain."""
        chains = [name for family in _FAMILIES for _, name in own_chains(saved_text(facts, family, "legacy"))]
        return tuple(
            name for name in names.RULESET_NAMES if any(chain.startswith(names.chain_prefix(name)) for chain in chains)
        )


def _replace(name: str, family: Family, ruleset: RulesetName, wanted: Sequence[OwnChain]) -> None:
    """Make the ruleset's chains in one table exactly the wanted ones; touch no table that has none of either."""
    if not wanted and not _has_chains(name, family, ruleset):
        return
    # Built before the lock is taken: the engine waits for it.
    jumps = [(chain, build(chain.jump, family)) for chain in wanted]
    rules = [(chain.name, build(rule, family)) for chain in wanted for rule in chain.rules]

    def change(table: LegacyTable) -> None:
        for stale in _own(table, ruleset):
            table.drop_chain(stale)
        for chain, _ in jumps:
            table.create_chain(chain.name)
        for name_of_chain, entry in rules:
            table.append(name_of_chain, entry)
        for chain, entry in jumps:
            table.insert(chain.jump.chain, entry, 0)

    change_table(name, family, change)


def _has_chains(name: str, family: Family, ruleset: RulesetName) -> bool:
    if name not in existing_tables(family):
        return False
    with open_table(name, family) as table:
        return bool(_own(table, ruleset))


def _own(table: LegacyTable, ruleset: RulesetName) -> tuple[str, ...]:
    prefix = names.chain_prefix(ruleset)
    return tuple(chain for chain in table.chains() if chain.startswith(prefix))


def _compare(ruleset: Ruleset, text: Callable[[Family], str]) -> tuple[str, ...]:
    wanted = {(table.family, table.name): table for table in tables(ruleset)}
    lines: list[str] = []
    for family in _FAMILIES:
        saved = text(family)
        own = [wanted.get((family, name), OwnTable(family, name, ())) for name in _TABLES]
        lines += differences([*own, guard_table(ruleset, family, saved)], saved, ruleset.name)
    return tuple(lines)
