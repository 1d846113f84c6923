"""What a host looks like right now: read-only collectors that fill one frozen, serialisable HostFacts.

Imported when they are asked for: who only knows the model, as the watcher does, is spared everything that reads.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from remedy.facts.gathering import gather
    from remedy.facts.model import HostFacts
    from remedy.facts.store import load_facts, parse_facts, save_facts

__all__ = ["HostFacts", "gather", "load_facts", "parse_facts", "save_facts"]
_PLACES = {
    "HostFacts": "model",
    "gather": "gathering",
    "load_facts": "store",
    "parse_facts": "store",
    "save_facts": "store",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
