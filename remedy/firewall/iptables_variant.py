"""iptables comes in two variants, legacy and nft, that see different rules: which program to run, what was read."""

from __future__ import annotations

import shutil
from typing import Literal

from remedy.facts.model import FirewallFacts
from remedy.firewall.iptables_rules import Family
from remedy.firewall.legacy_table import existing_tables
from remedy.host.commands import run_command

Variant = Literal["legacy", "nft"]


def program(family: Family, variant: Variant, tool: Literal["save", "restore"]) -> str:
    """`ip6tables-nft-save`, or the plain name where a distribution ships one variant only."""
    base = "iptables" if family == 4 else "ip6tables"
    name = f"{base}-{variant}-{tool}"
    return name if shutil.which(name) else f"{base}-{tool}"


def read_saved(family: Family, variant: Variant) -> str:
    """iptables-save text of all tables, now. Never creates a table by reading it.

    Raises CommandError, MissingToolError.
    """
    if variant == "legacy" and not existing_tables(family):
        return ""
    return run_command([program(family, variant, "save")]).stdout


def saved_text(facts: FirewallFacts, family: Family, variant: Variant) -> str:
    """The same from facts; empty where that variant had no rules."""
    return "".join(tables.text for tables in facts.tables if (tables.family, tables.variant) == (family, variant))


def restore(family: Family, script: str) -> None:
    """Run an iptables-restore script of the nft variant on top of what is there: one transaction.

    Raises CommandError, MissingToolError.
    """
    run_command([program(family, "nft", "restore"), "--noflush"], stdin=script)
