"""The writer for hosts whose kernel runs nf_tables: own nft tables, one transaction each time."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable

from remedy.errors import CommandError
from remedy.facts.model import FirewallBackend, FirewallFacts
from remedy.firewall import names
from remedy.firewall.nft_differences import differences as table_differences
from remedy.firewall.nft_model import FAMILIES, NftTable
from remedy.firewall.nft_reading import Json, read_tables
from remedy.firewall.nft_tables import tables
from remedy.firewall.nft_text import render, render_removal
from remedy.firewall.ruleset import Ruleset, RulesetName
from remedy.host.commands import run_command


class NftablesWriter:
    """Writes `ip remedy_<name>` and `ip6 remedy_<name>`; see RulesWriter."""

    def __init__(self, backend: FirewallBackend) -> None:
        self._backend = backend

    def write(self, ruleset: Ruleset) -> None:
        """Replace our tables in one transaction."""
        run_command(["nft", "-f", "-"], stdin=render(ruleset))

    def remove(self, name: RulesetName) -> None:
        """Delete our tables in one transaction."""
        run_command(["nft", "-f", "-"], stdin=render_removal(name))

    def read_differences(self, ruleset: Ruleset) -> tuple[str, ...]:
        """Read our tables now and compare."""
        name = names.nft_table(ruleset.name)
        return table_differences(tables(ruleset), [t for t in map(_read, _titles(name)) if t is not None])

    def differences(self, ruleset: Ruleset, facts: FirewallFacts) -> tuple[str, ...]:
        """Compare with our tables as the facts have them."""
        titles = _titles(names.nft_table(ruleset.name))
        present = [table for title in titles for table in read_tables(facts.nft_json.get(title, []))]
        return table_differences(tables(ruleset), present)

    def present_names(self, facts: FirewallFacts) -> tuple[RulesetName, ...]:
        """The rulesets that have a table."""
        return tuple(
            name
            for name in names.RULESET_NAMES
            if any(title in facts.nft_tables for title in _titles(names.nft_table(name)))
        )


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
