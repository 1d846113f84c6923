"""What an action may use of the host while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from remedy.actions.engine import Engine
from remedy.actions.owned_rules import OwnedRules


def _say_nothing(_text: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class ActionContext:
    """engine: the running dockerd; owned_rules: what remedy last wrote; note: tells the operator what is going on."""

    engine: Engine
    owned_rules: OwnedRules
    note: Callable[[str], None] = field(default=_say_nothing)

    @property
    def state_dir(self) -> Path:
        """Where remedy keeps its state."""
        return self.owned_rules.directory.parent

    @classmethod
    def for_host(cls, socket: str, state_dir: Path, note: Callable[[str], None] = _say_nothing) -> ActionContext:
        """The context of this host."""
        return cls(Engine(socket), OwnedRules(state_dir / "rules"), note)
