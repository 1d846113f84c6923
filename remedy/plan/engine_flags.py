"""What dockerd's command line and daemon.json say about the keys that remedy touches."""

from __future__ import annotations

from remedy.facts.engine_rules import flag_value
from remedy.facts.model import HostFacts


def flag_of(facts: HostFacts, name: str) -> str | None:
    """The value of a flag on dockerd's command line ("true" when it stands alone); None when it is not there."""
    return flag_value(facts.engine.command_line, name)


def configured(facts: HostFacts, key: str) -> object:
    """The value of a key in daemon.json; None when it is not there."""
    return (facts.daemon_json.parsed or {}).get(key)


def keeps_live_restore(facts: HostFacts) -> bool:
    """Whether live-restore is on now and will be on in the engine's next start, without our doing."""
    written = configured(facts, "live-restore") is True or flag_of(facts, "live-restore") == "true"
    return facts.engine.live_restore and written
