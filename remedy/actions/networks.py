"""CreateNetwork and ConnectNetwork: made and joined live, undone to exactly who was on it before."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from remedy.actions.context import ActionContext
from remedy.actions.default_routes import DefaultRoutes, default_routes
from remedy.actions.engine_networks import EngineNetworks, engine_networks
from remedy.actions.name_files import ask_engine_dns, read_hosts, read_name_files, restore_name_files
from remedy.errors import EngineError
from remedy.plan.actions import INTENT_LABEL, ConnectNetwork, CreateNetwork, NetworkMember

AT_ONCE = 8
Inspect = dict[str, Any]


class CreateNetworkAction:
    """The network is known by the label of this run's intent: what somebody else made is never removed.

    An action that has the label already makes that one again.
    """

    def __init__(self, action: CreateNetwork, context: ActionContext) -> None:
        self._action = action
        self._socket = context.engine.socket
        self._intent = action.labels.get(INTENT_LABEL) or secrets.token_hex(8)

    def undo_data(self) -> dict[str, object]:
        """The label that the network is about to get."""
        return {"intent": self._intent}

    def is_applied(self) -> bool:
        """There is such a network, and it is remedy's."""
        action = self._action
        with engine_networks(self._socket) as networks:
            found = networks.named(action.name)
            return found is not None and action.labels.items() <= (found.get("Labels") or {}).items()

    def apply(self) -> None:
        """Raises EngineError: the engine refuses, or somebody made one of this name meanwhile."""
        action = self._action
        labels = {**action.labels, INTENT_LABEL: self._intent}
        with engine_networks(self._socket) as networks:
            if networks.labelled(INTENT_LABEL, self._intent) is None:
                networks.create(action.name, internal=action.internal, subnets=action.subnets, labels=labels)

    def revert(self, undo: dict[str, object]) -> None:
        """Raises EngineError while somebody else is on it, or is to join it at its next start."""
        with engine_networks(self._socket) as networks:
            found = networks.labelled(INTENT_LABEL, str(undo.get("intent")))
            if found is None:
                return
            others = networks.members(found["Id"])
            if others:
                raise EngineError(
                    f"the network {self._action.name} is in use, and was left",
                    why=f"on it: {', '.join(sorted(others))}",
                    next_step="docker network disconnect each of them, then docker network rm",
                )
            networks.remove(found["Id"])


class ConnectNetworkAction:
    """Each container joins as it runs; one whose default route moves by that is taken back at once."""

    def __init__(self, action: ConnectNetwork, context: ActionContext) -> None:
        self._action = action
        self._socket = context.engine.socket

    def undo_data(self) -> dict[str, object]:
        """Who is on the network already, and the files in which the engine writes names, of those who are not."""
        present: list[str] = []
        files: dict[str, dict[str, str]] = {}
        with engine_networks(self._socket) as networks:
            network_id = networks.id_of(self._action.network)
            for member in self._action.members:
                container = networks.container(member.container_id)
                if container is None:
                    continue
                if network_id is not None and _is_on(container, network_id):
                    present.append(member.container_id)
                else:
                    files[member.container_id] = read_name_files(container)
        return {"present": present, "files": files}

    def is_applied(self) -> bool:
        """All members are on it."""
        with engine_networks(self._socket) as networks:
            network_id = networks.id_of(self._action.network)
            found = [networks.container(member.container_id) for member in self._action.members]
            return network_id is not None and all(c is not None and _is_on(c, network_id) for c in found)

    def apply(self) -> None:
        """Raises EngineError; then those that it has connected are still on it, and revert disconnects them."""
        with engine_networks(self._socket) as networks:
            network_id = networks.id_of(self._action.network)
            if network_id is None:
                raise EngineError(f"the network {self._action.network} is gone", next_step="remedy plan, look again")
            _each(self._action.members, partial(self._join, networks, network_id))

    def revert(self, undo: dict[str, object]) -> None:
        """Disconnect whom it connected, or who took that one's place, and is still there. Raises EngineError."""
        listed, files = undo.get("present"), undo.get("files")
        present = set(listed) if isinstance(listed, list) else set()
        known = files if isinstance(files, dict) else {}
        leaving = [member for member in self._action.members if member.container_id not in present]
        with engine_networks(self._socket) as networks:
            network_id = networks.id_of(self._action.network)
            _each(leaving, partial(self._leave, networks, network_id, known))

    def _join(self, networks: EngineNetworks, network_id: str, member: NetworkMember) -> None:
        container = networks.container(member.container_id)
        if container is None or not container["State"]["Pid"]:
            raise EngineError(f"{member.container} does not run any more", next_step="remedy plan, and look again")
        pid = int(container["State"]["Pid"])
        if not _is_on(container, network_id):
            before = _routes(pid, member)
            networks.connect(member.container_id, network_id, member.aliases, member.addresses)
            after = _routes(pid, member)
            if before != after:
                networks.disconnect(member.container_id, network_id)
                raise self._moved(member, before, after)
        joined = networks.container(member.container_id)
        if joined is not None:
            with _told(member):
                ask_engine_dns(joined)

    def _moved(self, member: NetworkMember, before: DefaultRoutes, after: DefaultRoutes) -> EngineError:
        return EngineError(
            f"the default route of {member.container} moved when it joined {self._action.network}",
            why=f"it was {_shown(before)} and became {_shown(after)}; it was disconnected at once",
            next_step="name an internal network, or one whose name sorts after its present one",
        )

    def _leave(
        self, networks: EngineNetworks, network_id: str | None, files: dict[str, Any], member: NetworkMember
    ) -> None:
        # One that compose has made again has another id, and joined by what remedy wrote for compose.
        container = networks.container(member.container_id) or networks.container(member.container)
        if container is None:
            return
        with _told(member):
            hosts = read_hosts(container)
        if network_id is not None and _is_on(container, network_id):
            _check_has_another(container, self._action.network)
            networks.disconnect(container["Id"], network_id)
        left = networks.container(container["Id"])
        if left is not None:
            with _told(member):
                restore_name_files(left, files.get(member.container_id) or {}, hosts)


@contextmanager
def _told(member: NetworkMember) -> Iterator[None]:
    """What goes wrong with a container's files or routes, told with the container's name."""
    try:
        yield
    except OSError as error:
        raise EngineError(f"a file of {member.container} cannot be read or written", why=str(error)) from error


def _each(members: Sequence[NetworkMember], act: Callable[[NetworkMember], None]) -> None:
    """For all, a few at a time; the first error is raised when all are done."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = [pool.submit(act, member) for member in members]
    errors = [error for done in waiting if (error := done.exception()) is not None]
    if errors:
        raise errors[0]


def _is_on(container: Inspect, network_id: str) -> bool:
    return any(endpoint["NetworkID"] == network_id for endpoint in container["NetworkSettings"]["Networks"].values())


def _check_has_another(container: Inspect, network: str) -> None:
    if len(container["NetworkSettings"]["Networks"]) > 1:
        return
    name = container["Name"].lstrip("/")
    raise EngineError(
        f"{network} is the only network of {name}, which was left there",
        why="without it, it would be cut off from everything",
        next_step=f"docker network connect another network to {name}, then remedy rollback",
    )


def _routes(pid: int, member: NetworkMember) -> DefaultRoutes:
    with _told(member):
        return default_routes(pid)


def _shown(routes: DefaultRoutes) -> str:
    return ", ".join(sorted(routes)) or "none"
