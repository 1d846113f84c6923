"""nft tables as values: no more than remedy writes.

The same values are made from a Ruleset (nft_tables) and from what `nft -j` prints (nft_reading), so that the
wanted and the present state compare with ==, and read as nft text in both cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["ip", "ip6"]
FAMILIES: tuple[Family, ...] = ("ip", "ip6")


@dataclass(frozen=True, slots=True)
class NftSet:
    """A named set, or a map when maps_to is given. elements are nft text, in no particular order."""

    name: str
    type: str
    elements: tuple[str, ...]
    maps_to: str | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NftChain:
    """A chain with its rules in order, as nft text, comment included. A chain without a hook has type None."""

    name: str
    type: str | None
    hook: str | None
    priority: int | None
    policy: str | None
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NftTable:
    """One table with everything that is in it."""

    family: str
    name: str
    sets: tuple[NftSet, ...]
    chains: tuple[NftChain, ...]

    @property
    def title(self) -> str:
        """`ip remedy_hairpin`."""
        return f"{self.family} {self.name}"
