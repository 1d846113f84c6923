"""All firewall rules of a host in one typed form, from its facts."""

from __future__ import annotations

from collections.abc import Iterator

from remedy.facts.model import HostFacts
from remedy.netfilter.from_iptables import tables_from_iptables
from remedy.netfilter.from_nft import table_from_nft
from remedy.netfilter.rules import RuleTable


def rule_tables(facts: HostFacts) -> tuple[RuleTable, ...]:
    """iptables' tables of both variants and families, and nft's own. Raises InputError for text out of form."""
    return tuple(_tables(facts))


def _tables(facts: HostFacts) -> Iterator[RuleTable]:
    for tables in facts.firewall.tables:
        yield from tables_from_iptables(tables.text, tables.family, tables.variant, {})
    indices = {link.index: link.name for space in facts.namespaces if space.is_host for link in space.links}
    for name, items in facts.firewall.nft_json.items():
        table = table_from_nft(name, items, indices)
        if table is not None:
            yield table
