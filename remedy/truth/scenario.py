"""What one host of the truth is: engine, firewall, proxy, containers, and what is done to it afterwards."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from remedy.lab.layout import ENGINES, FIREWALLS
from remedy.lab.topology import Topology


class ProxyMode(StrEnum):
    """How docker-proxy is set; flipped: on at first, switched off while the containers ran on."""

    ON = "on"
    OFF = "off"
    FLIPPED = "flipped"


@dataclass(frozen=True, slots=True)
class Kind:
    """A column of the matrix."""

    engine: str
    firewall: str
    proxy: ProxyMode

    @property
    def has_28(self) -> bool:
        """Whether the engine knows gateway modes and manages IPv6 by itself."""
        return self.engine == "28.5"

    def __str__(self) -> str:
        return f"{self.engine}-{self.firewall}-{self.proxy}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One host. before: shell lines before the containers start; after: once they run.

    changes: what is done to containers in between, ("restart" | "stop", name).
    features: what is special about it, for the report.
    """

    seed: int
    kind: Kind
    topology: Topology
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    changes: tuple[tuple[str, str], ...] = ()
    late: Topology = field(default_factory=Topology)
    features: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The lab host's name, without who asked for it; such names are short (31 characters with that)."""
        engine = self.kind.engine.replace(".", "")
        return f"{engine}{self.kind.firewall[0]}-{self.kind.proxy}-{self.seed % 100_000}"


def kinds() -> Iterator[Kind]:
    """Every engine with every firewall and every setting of the proxy, engines in turns."""
    for proxy in ProxyMode:
        for firewall in FIREWALLS:
            for engine in ENGINES:
                yield Kind(engine, firewall, proxy)


def source_of_chance(seed: int, kind: Kind) -> random.Random:
    """The same numbers for the same seed and kind, on every machine."""
    return random.Random(f"{seed}/{kind}")  # noqa: S311  # no secret hangs on it
