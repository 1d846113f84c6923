"""CreateNetwork and ConnectNetwork: made and joined live, undone to exactly who was on it before."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from remedy.actions.context import ActionContext
from remedy.actions.engine_networks import EngineNetworks, engine_networks
from remedy.errors import EngineError, RemedyError
from remedy.facts.addresses import read_addressing
from remedy.host.namespaces import run_in_network_namespace
from remedy.plan.model import ConnectNetwork, CreateNetwork, NetworkMember

AT_ONCE = 4
DefaultRoutes = frozenset[tuple[str, str]]


class CreateNetworkAction:
    """The network is known by its name and remedy's label: what somebody else made is never removed."""

    def __init__(self, action: CreateNetwork, context: ActionContext) -> None:
        self._action = action
        self._socket = context.engine.socket

    def undo_data(self) -> dict[str, object]:
        """Nothing: the label tells."""
        return {}

    def is_applied(self) -> bool:
        """There is such a network, and it is remedy's."""
        with engine_networks(self._socket) as networks:
            return self._own(networks) is not None

    def apply(self) -> None:
        """Raises EngineError: the engine refuses, or somebody made one of this name meanwhile."""
        action = self._action
        with engine_networks(self._socket) as networks:
            if self._own(networks) is None:
                networks.create(action.name, internal=action.internal, subnets=action.subnets, labels=action.labels)

    def revert(self, _undo: dict[str, object]) -> None:
        """Raises EngineError while somebody else is on it."""
        with engine_networks(self._socket) as networks:
            found = self._own(networks)
            if found is None:
                return
            others = sorted(str(member["Name"]) for member in (found.get("Containers") or {}).values())
            if others:
                raise EngineError(
                    f"the network {self._action.name} is in use, and was left",
                    why=f"on it: {', '.join(others)}",
                    next_step="docker network disconnect each of them, then docker network rm",
                )
            networks.remove(found["Id"])

    def _own(self, networks: EngineNetworks) -> dict[str, Any] | None:
        found = networks.named(self._action.name)
        if found is None:
            return None
        labels = found.get("Labels") or {}
        return found if self._action.labels.items() <= labels.items() else None


class ConnectNetworkAction:
    """Each container joins as it runs; one whose default route moves by that is taken back at once."""

    def __init__(self, action: ConnectNetwork, context: ActionContext) -> None:
        self._action = action
        self._socket = context.engine.socket

    def undo_data(self) -> dict[str, object]:
        """Those that are on the network already, before the first is connected."""
        with engine_networks(self._socket) as networks:
            found = networks.named(self._action.network)
            present = () if found is None else self._present(networks, found["Id"])
        return {"present": list(present)}

    def is_applied(self) -> bool:
        """All members are on it."""
        with engine_networks(self._socket) as networks:
            found = networks.named(self._action.network)
            return found is not None and len(self._present(networks, found["Id"])) == len(self._action.members)

    def apply(self) -> None:
        """Raises EngineError; then those that it has connected are still on it, and revert disconnects them."""
        with engine_networks(self._socket) as networks:
            network_id = self._network(networks)
            _each(self._action.members, partial(self._join, networks, network_id))

    def revert(self, undo: dict[str, object]) -> None:
        """Disconnect whom it connected, and who is still there. Raises EngineError."""
        listed = undo.get("present")
        kept = {str(name) for name in listed} if isinstance(listed, list) else set()
        leaving = [member for member in self._action.members if member.container_id not in kept]
        with engine_networks(self._socket) as networks:
            found = networks.named(self._action.network)
            if found is not None:
                _each(leaving, partial(self._leave, networks, found["Id"]))

    def _network(self, networks: EngineNetworks) -> str:
        found = networks.named(self._action.network)
        if found is None:
            raise EngineError(f"the network {self._action.network} is gone", next_step="remedy plan, and look again")
        return str(found["Id"])

    def _present(self, networks: EngineNetworks, network_id: str) -> list[str]:
        ids = [member.container_id for member in self._action.members]
        return [container_id for container_id in ids if networks.joined(container_id, network_id)]

    def _join(self, networks: EngineNetworks, network_id: str, member: NetworkMember) -> None:
        if networks.joined(member.container_id, network_id):
            return
        before = _default_routes(networks, member)
        networks.connect(member.container_id, network_id, member.aliases, member.addresses)
        after = _default_routes(networks, member)
        if before != after:
            networks.disconnect(member.container_id, network_id)
            raise EngineError(
                f"the default route of {member.container} moved when it joined {self._action.network}",
                why=f"it was {_shown(before)} and became {_shown(after)}; it was disconnected at once",
                next_step="name an internal network, or one whose name sorts after its present one",
            )

    def _leave(self, networks: EngineNetworks, network_id: str, member: NetworkMember) -> None:
        if networks.joined(member.container_id, network_id):
            networks.disconnect(member.container_id, network_id)


def _each(members: Sequence[NetworkMember], act: partial[None]) -> None:
    """For all, a few at a time; the first error is raised when all are done."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = [pool.submit(act, member) for member in members]
    errors = [error for done in waiting if (error := done.exception()) is not None]
    if errors:
        raise errors[0]


def _default_routes(networks: EngineNetworks, member: NetworkMember) -> DefaultRoutes:
    """Its default routes, "via 172.17.0.1" by family, as its namespace has them. Raises RemedyError."""
    found = networks.container(member.container_id)
    pid = 0 if found is None else int(found["State"]["Pid"])
    if pid == 0:
        raise EngineError(f"{member.container} does not run any more", next_step="remedy plan, and look again")
    try:
        addressing = run_in_network_namespace(pid, read_addressing)
    except OSError as error:
        raise RemedyError(f"the routes of {member.container} cannot be read", why=error.strerror) from error
    return frozenset(
        (str(route.family), str(route.gateway)) for route in addressing.routes if route.destination is None
    )


def _shown(routes: DefaultRoutes) -> str:
    return ", ".join(sorted(f"via {gateway}" for _, gateway in routes)) or "none"
