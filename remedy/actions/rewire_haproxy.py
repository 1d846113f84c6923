"""RewireHaproxy: haproxy's servers to other addresses, by its socket and its file, without losing a request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network

from remedy.actions.context import ActionContext
from remedy.errors import EngineError, HaproxyError, StalePlanError
from remedy.facts.container_files import root_of
from remedy.facts.model import Address, Container, Subnet
from remedy.haproxy.backends import Backends
from remedy.haproxy.candidate import Checker, clean_up
from remedy.haproxy.config_file import Content, content_of, show_original, write_original, write_target
from remedy.haproxy.containers import Containers
from remedy.haproxy.drained import wait_until_drained
from remedy.haproxy.master import load_again
from remedy.haproxy.running import RunningHaproxy, Whereabouts, as_json, known_again, was_reloaded
from remedy.haproxy.runtime_api import HaproxySocketAt, RuntimeApi, ServerState
from remedy.haproxy.serving import Serving, look, still_alive, wait_until_taken_over
from remedy.plan.actions import ConfigFile, RewiredServer, RewireHaproxy


class RewireHaproxyAction:
    """Each step leaves a haproxy that serves: the new way is tried before anything is led to it.

    Whether haproxy has loaded what a revert takes back is told by its workers: as long as they are those of before,
    nothing was reloaded, and nothing needs to be.
    """

    def __init__(self, action: RewireHaproxy, context: ActionContext) -> None:
        self._action = action
        self._note = context.note
        self._containers = Containers(context.engine.socket)
        self._place = Whereabouts(self._containers, action.container_id, action.unit)

    def undo_data(self) -> dict[str, object]:
        """The haproxy with its workers, and where its socket says that the servers are now."""
        running = self._place.find()
        if running is None:
            return {}
        return {"haproxy": as_json(running, running.workers()), "servers": dict(self._servers_now(running))}

    def is_applied(self) -> bool:
        """Every file holds what the plan wants; where there is none, haproxy's socket says so."""
        if self._action.files:
            return all(_holds(file, Content.TARGET) for file in self._action.files)
        running = self._found()
        api = self._runtime_api(running)
        if api is None:
            return False
        addresses = self._backends(running).wait(self._action.servers)
        states = api.servers()
        return all(
            (state := states.get((server.proxy, server.name))) is not None
            and (state.address, state.port) == (addresses[server.container_id], server.port)
            for server in self._action.servers
        )

    def apply(self) -> None:
        """Raises HaproxyError, StalePlanError, EngineError, OSError."""
        running = self._found()
        addresses = self._backends(running).wait(self._action.servers)
        self._check(running)
        before = look(running)
        self._move_by_socket(running, addresses)
        for file in self._action.files:
            write_target(file)
        if self._action.how != "runtime":
            self._load(running, before)

    def revert(self, undo: dict[str, object]) -> None:
        """Raises HaproxyError, StalePlanError, EngineError, OSError."""
        recorded = undo.get("haproxy")
        known = recorded if isinstance(recorded, dict) else {}
        running = self._found_again(known)
        if running is not None:
            clean_up(running)
            self._move_back_by_socket(running, undo)
        is_written = self._put_files_back(running)
        if running is None:
            return
        if self._action.how != "runtime" and (is_written or was_reloaded(known, running)):
            running = self._load(running, look(running))
        ports = {server.port for server in self._action.servers}
        wait_until_drained(running, self._ranges_left(), ports, self._note)

    def _put_files_back(self, running: RunningHaproxy | None) -> bool:
        """Whether anything else than the original was in one of them."""
        is_written = not all(_holds(file, Content.ORIGINAL) for file in self._action.files)
        for file in reversed(self._action.files):
            write_original(file)
        if running is not None:
            with root_of(running.root_pid) as root:
                for file in self._action.files:
                    show_original(file, root, running.root_pid)
        return is_written

    def _found_again(self, recorded: Mapping[str, object]) -> RunningHaproxy | None:
        """The haproxy as it was recorded, or its successor; None while there is none, or the engine cannot tell."""
        known = known_again(recorded)
        if known is not None:
            return known
        try:
            return self._place.find()
        except EngineError as error:
            self._note(f"haproxy is not told of its old configuration: {error.what}")
            return None

    def _found(self) -> RunningHaproxy:
        running = self._place.find()
        if running is None:
            where = self._action.container or self._action.unit
            raise HaproxyError("haproxy does not run", where=where, next_step="start it, and plan again")
        return running

    def _backends(self, running: RunningHaproxy) -> Backends:
        balancer = self._on_networks(self._action.container_id)
        return Backends(running, self._containers, balancer, self._action.network)

    def _on_networks(self, container_id: str | None) -> Container | None:
        """The container whose networks haproxy is on; None for those of the host."""
        container = None if container_id is None else self._containers.find(container_id)
        if container is None or container.network_mode == "host":
            return None
        kind, _, other = container.network_mode.partition(":")
        return self._on_networks(other) if kind == "container" else container

    def _check(self, running: RunningHaproxy) -> None:
        contents = {file.path: file.content.raw or b"" for file in self._action.files}
        if not contents:
            return
        checker = Checker(running, self._containers, self._action.container_id)
        # After a kill in the middle of a write it is neither the one nor the other: only the target counts.
        if all(_holds(file, Content.ORIGINAL) for file in self._action.files):
            checker.check_running()
        checker.check_candidate(contents)

    def _load(self, running: RunningHaproxy, before: Serving) -> RunningHaproxy:
        load_again(self._place, running, self._action.how, self._action.master_socket)
        current = wait_until_taken_over(self._place, running, before)
        finishing = still_alive(before.workers)
        if finishing:
            count = len(finishing)
            self._note(
                f"{count} old haproxy worker{'s' * (count > 1)} still finish{'es' * (count == 1)} the connections of "
                "before, until they end or hard-stop-after cuts them"
            )
        return current

    def _runtime_api(self, running: RunningHaproxy) -> RuntimeApi | None:
        address = self._action.runtime_socket
        return None if address is None else RuntimeApi(HaproxySocketAt(running, address))

    def _movable(self) -> Iterator[RewiredServer]:
        """Servers that the socket can move: of a template only haproxy itself knows the slots."""
        return (server for server in self._action.servers if not server.is_template)

    def _move_by_socket(self, running: RunningHaproxy, addresses: Mapping[str, Address]) -> None:
        api = self._runtime_api(running)
        for server in self._movable() if api is not None else ():
            assert api is not None  # noqa: S101
            state = ServerState(addresses[server.container_id], server.port, server.check_port or 0)
            try:
                api.move(server.proxy, server.name, state)
            except HaproxyError as error:
                self._unless_it_is_all(error)

    def _move_back_by_socket(self, running: RunningHaproxy, undo: Mapping[str, object]) -> None:
        api, servers = self._runtime_api(running), undo.get("servers")
        if api is None or not isinstance(servers, dict):
            return
        for server in self._movable():
            recorded = servers.get(f"{server.proxy}/{server.name}")
            if recorded is None:
                continue
            address, port, check_port = recorded
            try:
                api.move(server.proxy, server.name, ServerState(ip_address(address), port, check_port))
            except HaproxyError as error:
                self._unless_it_is_all(error)

    def _unless_it_is_all(self, error: HaproxyError) -> None:
        """Where a reload follows, the socket only makes it sooner."""
        if self._action.how == "runtime":
            raise error
        self._note(f"haproxy's socket is of no use, the reload will do: {error.what}")

    def _servers_now(self, running: RunningHaproxy) -> Iterator[tuple[str, object]]:
        api = self._runtime_api(running)
        if api is None:
            return
        try:
            states = api.servers()
        except HaproxyError as error:
            self._unless_it_is_all(error)
            return
        for server in self._movable():
            state = states.get((server.proxy, server.name))
            if state is not None and state.address is not None:
                yield f"{server.proxy}/{server.name}", [str(state.address), state.port, state.check_port]

    def _addresses_of(self, container: Container | None) -> Iterator[Subnet]:
        for endpoint in () if container is None else container.endpoints:
            if endpoint.network_name == self._action.network:
                yield from (ip_network(i.ip) for i in (endpoint.ipv4, endpoint.ipv6) if i is not None)

    def _ranges_left(self) -> tuple[Subnet, ...]:
        """Where haproxy's connections end with the undo: on a network that was shared before, most go on."""
        joined = self._action.joined
        try:
            if joined is not None and self._action.container_id not in joined:
                containers = [self._containers.find(id_) for id_ in joined]
                # Of one that was made again meanwhile nothing is known: it is taken off the network all the same.
                if None not in containers:
                    return tuple(address for one in containers for address in self._addresses_of(one))
            return self._containers.subnets_of(self._action.network)
        except EngineError:
            return ()


def _holds(file: ConfigFile, content: Content) -> bool:
    try:
        return content_of(file) is content
    except StalePlanError:
        return False
