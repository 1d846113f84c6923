"""nft tables as text: one script, one transaction, whatever was there before."""

from __future__ import annotations

from remedy.firewall import names
from remedy.firewall.nft_model import FAMILIES, NftChain, NftSet, NftTable
from remedy.firewall.nft_tables import tables
from remedy.firewall.ruleset import Ruleset, RulesetName


def render(ruleset: Ruleset) -> str:
    """The script that makes the host's tables exactly those of the ruleset.

    Raises RefusedError for an interface name that cannot be written.
    """
    wanted = "".join(map(table_text, tables(ruleset)))
    return render_removal(ruleset.name) + wanted


def render_removal(name: RulesetName) -> str:
    """The script that deletes the tables of a ruleset, present or not."""
    # `delete` fails on an absent table and `destroy` needs nft 1.0.7 and Linux 6.3: so declare, then delete.
    table = names.nft_table(name)
    return "".join(f"table {family} {table}\ndelete table {family} {table}\n" for family in FAMILIES)


def table_text(table: NftTable) -> str:
    """One table as nft reads it."""
    parts = [*map(_set_text, table.sets), *map(_chain_text, table.chains)]
    return f"table {table.title} {{\n" + "\n".join(parts) + "}\n"


def _set_text(item: NftSet) -> str:
    kind, result = ("map", f" : {item.maps_to}") if item.maps_to else ("set", "")
    flags = f"\t\tflags {', '.join(item.flags)}\n" if item.flags else ""
    elements = ",\n\t\t\t".join(item.elements)
    return (
        f"\t{kind} {item.name} {{\n\t\ttype {item.type}{result}\n{flags}"
        f"\t\telements = {{\n\t\t\t{elements}\n\t\t}}\n\t}}\n"
    )


def _chain_text(chain: NftChain) -> str:
    head = f"type {chain.type} hook {chain.hook} priority {chain.priority}; policy {chain.policy};"
    lines = (*([] if chain.hook is None else [head]), *chain.rules)
    return f"\tchain {chain.name} {{\n" + "".join(f"\t\t{line}\n" for line in lines) + "\t}\n"
