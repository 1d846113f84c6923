"""All firewall rules of a host in one typed form, from its facts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from remedy.facts.model import HostFacts, IpSet, IptablesTables
from remedy.netfilter.from_iptables import tables_from_iptables
from remedy.netfilter.from_nft import table_from_nft
from remedy.netfilter.ipset import known_sets
from remedy.netfilter.rules import Accept, BaseChain, Chain, Hook, Rule, RuleTable, UnknownStatement

NFT_VERSION = "firewall: nft"  # the program's version decides nothing


def rule_tables(facts: HostFacts) -> tuple[RuleTable, ...]:
    """iptables' tables of both variants and families, and nft's own. Raises InputError for text out of form.

    The order is that in which the kernel calls base chains of the same priority: the one that was registered last
    comes first (net/netfilter/core.c, nf_hook_entries_grow), and of two nat chains the first one translates.
    """
    named = [*_iptables_tables(facts), *_nft_tables(facts), *_unread_tables(facts)]
    made = {name: number for number, name in enumerate(facts.firewall.nft_tables)}
    # The kernel does not say when a legacy table was made.
    newest_first = sorted(named, key=lambda each: -made.get(each[0], len(made)))
    return tuple(table for _, table in newest_first)


def _iptables_tables(facts: HostFacts) -> Iterator[tuple[str, RuleTable]]:
    for tables in facts.firewall.tables:
        family = "ip" if tables.family == 4 else "ip6"
        for table in _read(tables, facts.firewall.ipsets):
            own_name = table.name.rpartition(" ")[2]
            yield (f"{family} {own_name}" if tables.variant == "nft" else "legacy"), table


@lru_cache(maxsize=4)
def _read(tables: IptablesTables, ipsets: tuple[IpSet, ...]) -> tuple[RuleTable, ...]:
    """Once for the host as it is and as it would be: where remedy writes with nft, these are the same."""
    return tables_from_iptables(tables.text, tables.family, tables.variant, known_sets(ipsets))


def _nft_tables(facts: HostFacts) -> Iterator[tuple[str, RuleTable]]:
    indices = {link.index: link.name for space in facts.namespaces if space.is_host for link in space.links}
    for name, items in facts.firewall.nft_json.items():
        table = table_from_nft(name, items, indices)
        if table is not None:
            yield name, table


def _unread_tables(facts: HostFacts) -> Iterator[tuple[str, RuleTable]]:
    """What could not be read may do anything to any packet: its verdict is unknown, and says for want of what."""
    for unread in facts.unread:
        if unread.item == NFT_VERSION or not unread.item.startswith(("firewall", "foreign rules")):
            continue
        text = f"{unread.item} could not be read: {unread.reason}"
        chain = Chain("unread", (Rule((), (UnknownStatement(text),), text, unread.item),))
        bases = tuple(BaseChain(chain, hook, 0, "filter", Accept()) for hook in Hook)
        yield unread.item, RuleTable(unread.item, (4, 6), bases, {chain.name: chain})
