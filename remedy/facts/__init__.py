"""What a host looks like right now: read-only collectors that fill one frozen, serialisable HostFacts."""

from remedy.facts.gather import gather
from remedy.facts.model import HostFacts
from remedy.facts.store import load_facts, parse_facts, save_facts

__all__ = ["HostFacts", "gather", "load_facts", "parse_facts", "save_facts"]
