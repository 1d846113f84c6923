"""The engine's event stream: followed in a thread, subscribed to again when it ends, told as messages."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from remedy.watch.engine_socket import events
from remedy.watch.inbox import ContainerSeen, Inbox, NetworkSeen, StreamFound, StreamLost
from remedy.watch.schedule import ContainerChange

FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 2.0
_CONTAINERS: dict[str, ContainerChange] = {
    "start": "started",
    "die": "died",
    "rename": "was renamed",
    "destroy": "was removed",
}
_NETWORKS = {"connect": "joined", "disconnect": "left", "create": "made", "destroy": "removed"}
_SIGKILL = "9"
# The engine filters: health checks alone are three events each. Exact names: `start` does not match exec_start (moby
# daemon/events/filter.go).
_FILTERS = {"type": ["container", "network"], "event": sorted({*_CONTAINERS, *_NETWORKS, "kill"})}


def message_of(event: Mapping[str, Any]) -> ContainerSeen | NetworkSeen | None:
    """What one event means; None for what does not matter here. Everything in it may be hostile, and is only told."""
    kind, action = event.get("Type"), str(event.get("Action"))
    actor = event.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    name = str(attributes.get("name") or actor.get("ID") or "?")
    if kind == "container" and action in _CONTAINERS:
        return ContainerSeen(name, _CONTAINERS[action])
    # Nobody outlives it, and the engine tells of it a tenth of a second before the end, when the address has been given
    # back. Other signals are a container's own business.
    if kind == "container" and action == "kill" and attributes.get("signal") == _SIGKILL:
        return ContainerSeen(name, "was killed")
    if kind == "network" and action in _NETWORKS:
        who = str(attributes.get("container") or "")[:12]
        return NetworkSeen(
            f"{who} {_NETWORKS[action]} network {name}" if who else f"network {name} {_NETWORKS[action]}"
        )
    return None


def follow_engine(endpoint: str, inbox: Inbox) -> None:
    """Start the thread. Every (new) subscription is told first, so that what went before is looked up in full."""
    threading.Thread(target=_follow, args=(endpoint, inbox), name="remedy-engine-events", daemon=True).start()


def _follow(endpoint: str, inbox: Inbox) -> None:
    wait = FIRST_WAIT_SECONDS
    while True:
        why = "the engine ended it"
        try:
            if _listen(endpoint, inbox):
                wait = FIRST_WAIT_SECONDS
        except Exception as error:  # an engine that stops or starts fails in many ways, none of which ends the watcher
            why = str(error) or type(error).__name__
        inbox.put(StreamLost(why))
        time.sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT_SECONDS)


def _listen(endpoint: str, inbox: Inbox) -> bool:
    """Tell events until the stream ends. Raises EngineError, OSError, ValueError."""
    with events(endpoint, _FILTERS) as stream:
        inbox.put(StreamFound())
        for event in stream:
            message = message_of(event)
            if message is not None:
                inbox.put(message)
    return True
