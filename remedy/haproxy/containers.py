"""What is asked of the engine about haproxy's container and its backends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from remedy.errors import EngineError
from remedy.facts.containers import parse_container
from remedy.facts.engine_api import EngineApi
from remedy.facts.model import Container, Subnet

if TYPE_CHECKING:
    from docker.api.client import APIClient

TIMEOUT_SECONDS = 60
_SERVICE_LABELS = ("com.docker.compose.project", "com.docker.compose.service")
RESTART_TIMEOUT_SECONDS = 180
DEFAULT_STOP_SECONDS = 10  # the engine's


@dataclass(frozen=True, slots=True)
class Ran:
    """A program that ended inside a container: its exit status and what it said on both streams."""

    status: int
    output: str


@dataclass(frozen=True, slots=True)
class Containers:
    """The containers of one engine."""

    socket: str

    def find(self, container_id: str) -> Container | None:
        """The container as it is now; None when it is gone. Raises EngineError."""
        api = EngineApi(self.socket)
        try:
            found = api.inspect_container(container_id)
        finally:
            api.close()
        return None if found is None else parse_container(found)

    def of_service(self, container: Container) -> tuple[Container, ...]:
        """The running containers of the same compose service; none where it belongs to none. Raises EngineError."""
        service = [container.labels.get(label) for label in _SERVICE_LABELS]
        if None in service:
            return ()
        api = EngineApi(self.socket)
        try:
            ids = [one["Id"] for one in api.containers() if [one["Labels"].get(n) for n in _SERVICE_LABELS] == service]
            found = [inspected for name in ids if (inspected := api.inspect_container(name)) is not None]
        finally:
            api.close()
        return tuple(one for one in map(parse_container, found) if one.is_running)

    def subnets_of(self, network: str) -> tuple[Subnet, ...]:
        """The network's subnets; none when it is gone. Raises EngineError."""
        api = EngineApi(self.socket)
        try:
            listed = api.networks()
        finally:
            api.close()
        configs = [
            config
            for found in listed
            if found["Name"] == network
            for config in (found.get("IPAM") or {}).get("Config") or ()
        ]
        return tuple(ip_network(config["Subnet"], strict=False) for config in configs if config.get("Subnet"))

    def run(
        self,
        container_id: str,
        command: Sequence[str],
        *,
        user: str,
        directory: str,
        environment: Mapping[str, str],
    ) -> Ran:
        """Run a program in the container and wait for its end. Raises EngineError."""
        with self._client(f"{command[0]} cannot be run in the container") as client:
            created = client.exec_create(
                container_id,
                list(command),
                user=user,
                workdir=directory,
                environment=[f"{name}={value}" for name, value in environment.items()],
            )
            output: bytes = client.exec_start(created["Id"])
            status = client.exec_inspect(created["Id"])["ExitCode"]
        return Ran(-1 if status is None else int(status), output.decode(errors="replace"))

    def restart(self, container_id: str) -> None:
        """Restart the container, with as much time to stop as it was given. Raises EngineError."""
        container = self.find(container_id)
        given = DEFAULT_STOP_SECONDS if container is None else container.stop_timeout_seconds
        patience = DEFAULT_STOP_SECONDS if given is None else given
        with self._client("the container cannot be restarted", timeout=RESTART_TIMEOUT_SECONDS) as client:
            # The client's own default would override the container's.
            client.restart(container_id, timeout=patience)

    def last_words(self, container_id: str) -> str | None:
        """The last lines that the container logged, for an error message."""
        try:
            with self._client("the container's log cannot be read") as client:
                log: bytes = client.logs(container_id, tail=20)
        except EngineError:
            return None
        return log.decode(errors="replace").strip()[-2000:] or None

    @contextmanager
    def _client(self, what: str, *, timeout: int = TIMEOUT_SECONDS) -> Iterator[APIClient]:
        from docker.api.client import APIClient
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        try:
            client = APIClient(base_url=self.socket, version="auto", timeout=timeout)
            try:
                yield client
            finally:
                client.close()
        except (DockerException, RequestException, OSError) as error:
            raise EngineError(what, why=_reason(error)) from error


def _reason(error: Any) -> str:
    return str(getattr(error, "explanation", None) or error)
