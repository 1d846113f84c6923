"""nft's own tables, as JSON: the engine's (29), remedy's, and everybody else's whose rules a packet may meet."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence

from remedy.facts.model import IptablesTables
from remedy.facts.unread import Notes
from remedy.host.commands import run_command

ENGINE_NFT_TABLE = "docker-bridges"
OWN_NFT_TABLE_PREFIX = "remedy"
TIMEOUT_SECONDS = 60.0

# Names that iptables-nft gives to its tables, in families ip and ip6.
_IPTABLES_NAMES = frozenset({"filter", "nat", "mangle", "raw", "security"})
_IPTABLES_FAMILIES = {"ip": 4, "ip6": 6}
_INCOMPATIBLE = re.compile(r"^# Table `(\w+)' is incompatible", re.MULTILINE)


def is_iptables_table(table: str) -> bool:
    """Whether a table ("ip filter") has a name of those that iptables-nft makes and iptables-save prints."""
    family, _, name = table.partition(" ")
    return family in _IPTABLES_FAMILIES and name in _IPTABLES_NAMES


def incompatible_tables(save_text: str) -> list[str]:
    """Return the tables that iptables-nft-save names without printing them: they hold nft's own rules."""
    return _INCOMPATIBLE.findall(save_text)


def parse_nft_table(output: str) -> list[object]:
    """Read `nft -j list table`, without the line that only tells nft's version."""
    return [item for item in json.loads(output)["nftables"] if "metainfo" not in item]


def tables_for_json(nft_tables: Sequence[str], saved: Sequence[IptablesTables]) -> Iterator[str]:
    """Give the tables that iptables-save has not shown.

    Those that it has are lost in JSON: nft does not translate every extension of iptables ({"xt": null}).
    """
    shown = {table.family for table in saved if table.variant == "nft"}
    incompatible = {
        (table.family, name) for table in saved if table.variant == "nft" for name in incompatible_tables(table.text)
    }
    for table in nft_tables:
        family, _, name = table.partition(" ")
        number = _IPTABLES_FAMILIES.get(family)
        if not is_iptables_table(table) or number not in shown or (number, name) in incompatible:
            yield table


def unread_item(table: str) -> str:
    """Return how a table is called in `unread`: a plan is refused only for want of the engine's rules and remedy's."""
    name = table.partition(" ")[2]
    ours = name == ENGINE_NFT_TABLE or name.startswith(OWN_NFT_TABLE_PREFIX) or is_iptables_table(table)
    return f"{'firewall' if ours else 'foreign rules'}: nft table {table}"


def read_nft_json(nft_tables: Sequence[str], saved: Sequence[IptablesTables], notes: Notes) -> dict[str, list[object]]:
    """Read the tables of the calling thread's namespace, with their sets and maps, by "family name"."""
    read: dict[str, list[object]] = {}
    for table in tables_for_json(nft_tables, saved):
        family, _, name = table.partition(" ")
        # --stateless: without counters, which change while nothing changes.
        command = ["nft", "--json", "--stateless", "list", "table", family, name]
        content = notes.attempt(unread_item(table), None, _reading(command))
        if content is not None:
            read[table] = content
    return read


def _reading(command: Sequence[str]) -> Callable[[], list[object]]:
    return lambda: parse_nft_table(run_command(command, timeout=TIMEOUT_SECONDS).stdout)
