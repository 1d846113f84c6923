"""Which addresses untracked pairs have at this moment, asked of the engine."""

from __future__ import annotations

from collections.abc import Sequence

from remedy.actions.engine import RUNNING, Engine
from remedy.facts.containers import parse_endpoints
from remedy.facts.engine_api import EngineApi
from remedy.facts.networks import parse_network
from remedy.firewall.ruleset import UntrackedPair
from remedy.firewall.untracked_pairs import on_their_networks


def pairs_of_today(pairs: Sequence[UntrackedPair], engine: Engine) -> tuple[UntrackedPair, ...]:
    """The pairs at their containers' addresses; without those whose containers are gone. Raises EngineError."""
    if not pairs:
        return ()
    api = EngineApi(engine.socket)
    try:
        listed, networks = api.containers(), [parse_network(network) for network in api.networks()]
    finally:
        api.close()
    endpoints = {
        str(name).lstrip("/"): parse_endpoints((container.get("NetworkSettings") or {}).get("Networks") or {})
        for container in listed
        if container["State"] in RUNNING
        for name in container["Names"]
    }
    return on_their_networks(pairs, endpoints, {network.name: network.bridge for network in networks})
