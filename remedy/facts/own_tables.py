"""A container's own conntrack table: how many entries, and whether anything in its namespace needs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from remedy.facts.engine_rules import DNS_CHAINS
from remedy.facts.legacy_targets import read_legacy_targets
from remedy.facts.model import OwnTable
from remedy.facts.nft_targets import INET, IPV4, ChainPlace, read_nft_targets

COUNT = Path("/proc/sys/net/netfilter/nf_conntrack_count")

Place = tuple[str, str]  # table, chain
# remedy's own (firewall.inside): by nft, and by iptables-legacy.
_NFT_TABLE = "remedy_notrack"
_OURS_BY_NFT = {"untrack_prerouting": 1, "untrack_output": 1}
_OURS_BY_LEGACY = {"REMEDY-NOTRACK-IN": ("RETURN", "CT"), "REMEDY-NOTRACK-OUT": ("RETURN", "CT")}
_LEGACY_JUMPS = {("raw", "PREROUTING"): "REMEDY-NOTRACK-IN", ("raw", "OUTPUT"): "REMEDY-NOTRACK-OUT"}


def read_own_table() -> OwnTable:
    """That of the calling thread's network namespace. Raises OSError."""
    return own_table(_count(), read_nft_targets(), read_legacy_targets())


def own_table(
    entries: int | None, nft: Mapping[ChainPlace, tuple[str, ...]], legacy: Mapping[Place, tuple[str, ...]]
) -> OwnTable:
    """nft and legacy: every chain of the namespace with its rules' targets. IPv6 is left alone, and so left out."""
    own = {place.chain: len(targets) for place, targets in nft.items() if place.table == _NFT_TABLE}
    foreign = {
        (place.table if place.family == IPV4 else f"inet {place.table}", place.chain): targets
        for place, targets in nft.items()
        if place.family in (IPV4, INET) and place.table != _NFT_TABLE
    }
    kept_by_legacy = all(legacy.get(("raw", chain)) == targets for chain, targets in _OURS_BY_LEGACY.items()) and all(
        chain in legacy.get(place, ()) for place, chain in _LEGACY_JUMPS.items()
    )
    rules = _whose([*foreign.items(), *_without_ours(legacy)])
    return OwnTable(entries=entries, rules=rules, kept_empty=own == _OURS_BY_NFT or kept_by_legacy)


def _without_ours(legacy: Mapping[Place, tuple[str, ...]]) -> Iterable[tuple[Place, tuple[str, ...]]]:
    for place, targets in legacy.items():
        if place[1] not in _OURS_BY_LEGACY:
            ours = _LEGACY_JUMPS.get(place)
            yield place, tuple(target for target in targets if target != ours)


def _whose(chains: Iterable[tuple[Place, tuple[str, ...]]]) -> Literal["none", "engine", "other"]:
    """An empty chain is nobody's: reading with iptables makes some."""
    filled = [(place, targets) for place, targets in chains if targets]
    if not filled:
        return "none"
    known = (place in DNS_CHAINS and DNS_CHAINS[place] in (None, targets) for place, targets in filled)
    return "engine" if all(known) else "other"


def _count() -> int | None:
    try:
        return int(COUNT.read_text())
    except (OSError, ValueError):
        return None
