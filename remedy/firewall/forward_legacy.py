"""FORWARD on iptables-legacy: read and written in this process (0.1 ms a look, no program is started)."""

from __future__ import annotations

from typing import Any

from remedy.firewall.forward_guard import HOOK, place
from remedy.firewall.iptables_rules import Family, OwnChain
from remedy.firewall.legacy_entry import build
from remedy.firewall.legacy_table import LegacyTable, change_table, existing_tables, open_table

_TABLE = "filter"


class LegacyForward:
    """See Forward. The binary form of a jump is built once: building it takes longer than inserting it."""

    def __init__(self, family: Family) -> None:
        self.family: Family = family
        self._jumps: dict[str, Any] = {}

    def exists(self) -> bool:
        """Asked of /proc: opening the table would create it."""
        return _TABLE in existing_tables(self.family)

    def targets(self) -> tuple[str, ...]:
        """One getsockopt."""
        if not self.exists():
            return ()
        with open_table(_TABLE, self.family) as table:
            return table.targets(HOOK)

    def write(self, chain: OwnChain) -> None:
        """One commit."""
        entries = [build(rule, self.family) for rule in chain.rules]
        jump = self._jump(chain)

        def change(table: LegacyTable) -> None:
            table.make_empty_chain(chain.name)
            for entry in entries:
                table.append(chain.name, entry)
            _put_jump(table, chain.name, jump)

        change_table(_TABLE, self.family, change)

    def move(self, chain: OwnChain) -> None:
        """One commit."""
        jump = self._jump(chain)
        change_table(_TABLE, self.family, lambda table: _put_jump(table, chain.name, jump))

    def remove(self, chain: str) -> None:
        """One commit, if there is anything to delete."""
        if not self.exists():
            return
        with open_table(_TABLE, self.family) as table:
            is_present = chain in table.chains()
        if is_present:
            change_table(_TABLE, self.family, lambda table: table.drop_chain(chain))

    def _jump(self, chain: OwnChain) -> Any:
        if chain.name not in self._jumps:
            self._jumps[chain.name] = build(chain.jump, self.family)
        return self._jumps[chain.name]


def _put_jump(table: LegacyTable, chain: str, jump: Any) -> None:
    targets = table.targets(HOOK)
    table.delete_jumps(HOOK, chain)
    table.insert(HOOK, jump, place(targets, chain))
