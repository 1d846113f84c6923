"""Everything that the engine's API says: one list of each kind, and one inspect per container."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

from remedy.facts.containers import parse_container
from remedy.facts.engine_api import EngineApi
from remedy.facts.model import Container, Network
from remedy.facts.networks import parse_network
from remedy.facts.unread import Notes


@dataclass(frozen=True, slots=True)
class EngineAnswers:
    """What the engine's API says. listener_pid is who listens on its socket, if that is one of this host."""

    info: dict[str, Any]
    containers: tuple[Container, ...]
    networks: tuple[Network, ...]
    listener_pid: int | None


def ask_engine(endpoint: str, pool: Executor, notes: Notes) -> EngineAnswers:
    """Ask the engine at `endpoint`, containers side by side. Raises EngineError, PermissionNeededError."""
    api = EngineApi(endpoint)
    try:
        info, networks = pool.submit(api.info), pool.submit(api.networks)
        ids = [container["Id"] for container in api.containers()]
        containers = list(pool.map(partial(_read_container, api, notes), ids))
        parsed = [_read_network(network, notes) for network in networks.result()]
        return EngineAnswers(
            info=info.result(),
            containers=tuple(sorted((c for c in containers if c is not None), key=lambda item: item.name)),
            networks=tuple(sorted((n for n in parsed if n is not None), key=lambda network: network.name)),
            listener_pid=api.listener_pid,
        )
    finally:
        api.close()


def _read_container(api: EngineApi, notes: Notes, container_id: str) -> Container | None:
    def read() -> Container | None:
        inspect = api.inspect_container(container_id)
        return None if inspect is None else parse_container(inspect)

    return notes.attempt(f"container {container_id[:12]}", None, read)


def _read_network(network: dict[str, Any], notes: Notes) -> Network | None:
    return notes.attempt(f"network {network.get('Name')}", None, partial(parse_network, network))
