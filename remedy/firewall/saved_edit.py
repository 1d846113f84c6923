"""iptables-save text that can be changed chain by chain: what it would say after a change, without the change.

Nothing is lost or reordered but what is edited. Comment lines are kept at the top; counters go.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from remedy.firewall.iptables_save import Remark, parse

# The built-in chains of the tables that the engine and remedy write to (iptables(8)).
_BUILT_IN = {
    "raw": ("PREROUTING", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
}


@dataclass(slots=True)
class _Table:
    chains: dict[str, str] = field(default_factory=dict)  # name -> declaration, ":DOCKER - [0:0]"
    rules: dict[str, list[str]] = field(default_factory=dict)


class EditableRules:
    """The rules of one family. Raises InputError for text that is not iptables-save's."""

    def __init__(self, text: str) -> None:
        saved = parse(text)
        self._remarks = [line.text for line in saved.lines if isinstance(line, Remark) and line.text.startswith("#")]
        self._tables: dict[str, _Table] = {}
        for found in saved.tables:
            table = self._tables.setdefault(found.name, _Table())
            table.chains.update({chain.name: chain.text for chain in found.chains})
            for rule in found.rules:
                table.rules.setdefault(rule.chain, []).append(rule.specification)

    def has_chain(self, table: str, chain: str) -> bool:
        """Whether there is such a table with such a chain."""
        return table in self._tables and chain in self._tables[table].chains

    def chains(self, table: str) -> tuple[str, ...]:
        """The names of a table's chains."""
        return tuple(self._tables[table].chains) if table in self._tables else ()

    def rules(self, table: str, chain: str) -> tuple[str, ...]:
        """The rules of a chain in order, as text; none where there is no such chain."""
        return tuple(self._tables[table].rules.get(chain, ())) if table in self._tables else ()

    def put(self, table: str, chain: str, rules: list[str] | tuple[str, ...]) -> None:
        """Make these the chain's rules; the table and the chain come into being where they are missing."""
        if table not in self._tables:
            declared = {name: f":{name} ACCEPT [0:0]" for name in _BUILT_IN[table]}
            self._tables[table] = _Table(declared)
        self._tables[table].chains.setdefault(chain, f":{chain} - [0:0]")
        self._tables[table].rules[chain] = list(rules)

    def drop(self, table: str, chain: str) -> None:
        """Take a chain away, with every rule that leads to it."""
        found = self._tables[table]
        found.chains.pop(chain, None)
        found.rules.pop(chain, None)
        for name, rules in found.rules.items():
            found.rules[name] = [rule for rule in rules if not rule.endswith((f" -j {chain}", f" -g {chain}"))]

    @property
    def text(self) -> str:
        """The rules as iptables-save prints them."""
        lines = list(self._remarks)
        for name, table in self._tables.items():
            order = dict.fromkeys((*table.chains, *table.rules))
            rules = [rule for chain in order for rule in table.rules.get(chain, ())]
            lines += [f"*{name}", *table.chains.values(), *rules, "COMMIT"]
        return "\n".join([*lines, ""])
