"""The writer for hosts whose kernel runs nf_tables: own nft tables, one transaction each time."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Sequence

from remedy.errors import CommandError
from remedy.facts.model import FirewallBackend, FirewallFacts
from remedy.firewall import names
from remedy.firewall.forward_guard import can_guard, forward_guard, guard_table, remove_forward_guard
from remedy.firewall.iptables_differences import differences as chain_differences
from remedy.firewall.iptables_differences import own_chains
from remedy.firewall.iptables_rules import Family, forward_chain_name
from remedy.firewall.iptables_variant import read_saved, saved_text
from remedy.firewall.nft_chain import NftChain
from remedy.firewall.nft_differences import differences as table_differences
from remedy.firewall.nft_model import FAMILIES, NftTable
from remedy.firewall.nft_reading import Json, read_tables
from remedy.firewall.nft_tables import tables
from remedy.firewall.nft_text import render, render_removal
from remedy.firewall.ruleset import Ruleset, RulesetName
from remedy.host.commands import run_command

_FAMILIES: tuple[Family, ...] = (4, 6)


class NftablesWriter:
    """Writes tables `ip remedy_<name>` and `ip6 remedy_<name>`; see RulesWriter.

    The accept in FORWARD goes into iptables-nft's table filter, where the engine's drops are (forward_guard).
    """

    def __init__(self, backend: FirewallBackend) -> None:
        self._backend = backend

    def write(self, ruleset: Ruleset) -> None:
        """Replace our tables in one transaction; the accept in FORWARD, first, in one of its own, if it is needed.

        One for speed alone comes after them: the pairs wait for nothing.
        """
        script = render(ruleset)
        if ruleset.forward_guard:
            forward_guard(self._backend, ruleset).write()
        run_command(["nft", "-f", "-"], stdin=script)
        if ruleset.accept_ahead and not ruleset.forward_guard:
            forward_guard(self._backend, ruleset).write()
        elif not ruleset.forward_guard:
            remove_forward_guard(self._backend, ruleset.name)

    def remove(self, name: RulesetName) -> None:
        """Delete our tables in one transaction, then the accept in FORWARD."""
        run_command(["nft", "-f", "-"], stdin=render_removal(name))
        remove_forward_guard(self._backend, name)

    def read_differences(self, ruleset: Ruleset) -> tuple[str, ...]:
        """Read our tables now and compare."""
        titles = _titles(names.nft_table(ruleset.name))
        present = [table for table in map(_read, titles) if table is not None]
        return self._compare(ruleset, present, lambda family: _saved(family, ruleset))

    def differences(self, ruleset: Ruleset, facts: FirewallFacts) -> tuple[str, ...]:
        """Compare with our tables as the facts have them."""
        titles = _titles(names.nft_table(ruleset.name))
        present = [table for title in titles for table in read_tables(facts.nft_json.get(title, []))]
        return self._compare(ruleset, present, lambda family: saved_text(facts, family, "nft"))

    def present_names(self, facts: FirewallFacts) -> tuple[RulesetName, ...]:
        """The rulesets that have a table, or a chain in FORWARD."""
        chains = {name for family in _FAMILIES for _, name in own_chains(saved_text(facts, family, "nft"))}
        return tuple(
            name
            for name in names.RULESET_NAMES
            if forward_chain_name(name) in chains
            or any(title in facts.nft_tables for title in _titles(names.nft_table(name)))
        )

    def _compare(self, ruleset: Ruleset, present: Sequence[NftTable], text: Callable[[Family], str]) -> tuple[str, ...]:
        lines = list(table_differences(tables(ruleset), present))
        for family in _FAMILIES if can_guard(self._backend) else ():
            saved = text(family)
            lines += chain_differences([guard_table(ruleset, family, saved)], saved, ruleset.name)
        return tuple(lines)


def _saved(family: Family, ruleset: Ruleset) -> str:
    """iptables' tables, where there is anything of ours in them, or ought to be: a netlink request tells."""
    chain = NftChain(family, "filter", forward_chain_name(ruleset.name))
    return read_saved(family, "nft") if ruleset.accepts_in_forward or chain.exists() else ""


def _titles(name: str) -> tuple[str, ...]:
    return tuple(f"{family} {name}" for family in FAMILIES)


def _read(title: str) -> NftTable | None:
    listed = run_command(["nft", "-j", "list", "table", *title.split()], check=False)
    if listed.status != 0 and "No such file or directory" in listed.stderr:
        return None
    if listed.status != 0:
        raise CommandError(
            "nft cannot list a table", where=shlex.join(listed.arguments), why=listed.stderr.strip() or None
        )
    entries: Iterable[Json] = json.loads(listed.stdout)["nftables"]
    return next(iter(read_tables(entries)), None)
