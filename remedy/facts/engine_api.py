"""Asking the engine: the docker SDK's low-level client, imported late, with errors that name the next step."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from remedy.errors import EngineError, PermissionNeededError

if TYPE_CHECKING:
    from docker.api.client import APIClient

DEFAULT_ENDPOINT = "unix:///var/run/docker.sock"
TIMEOUT_SECONDS = 20

Answer = dict[str, Any]


def endpoint_of(given: str | None) -> str:
    """Return the endpoint to ask: what was given, else DOCKER_HOST, else the default socket."""
    endpoint = given or os.environ.get("DOCKER_HOST") or DEFAULT_ENDPOINT
    return f"unix://{endpoint}" if endpoint.startswith("/") else endpoint


def is_local(endpoint: str) -> bool:
    """Whether the engine behind the endpoint is (as far as the endpoint says) on this host."""
    return endpoint.startswith("unix://")


class EngineApi:
    """The reading half of the engine's API. May be used by several threads at once."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        # Pid of who listens on the socket: dockerd, or systemd where the socket is its own.
        self.listener_pid = _knock(endpoint) if is_local(endpoint) else None
        self._client = _connect(endpoint)

    def info(self) -> Answer:
        """Return /info."""
        return cast("Answer", self._ask("info", self._client.info))

    def containers(self) -> list[Answer]:
        """Return the list of all containers, those that do not run included."""
        return cast("list[Answer]", self._ask("the list of containers", partial(self._client.containers, all=True)))

    def inspect_container(self, container_id: str) -> Answer | None:
        """Return one container, None when it is gone by now."""
        from docker.errors import NotFound

        try:
            return cast("Answer", self._client.inspect_container(container_id))
        except NotFound:
            return None

    def networks(self) -> list[Answer]:
        """Return the list of networks."""
        return cast("list[Answer]", self._ask("the list of networks", self._client.networks))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _ask(self, what: str, question: Callable[[], object]) -> object:
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        try:
            return question()
        except (DockerException, RequestException, ValueError) as error:
            raise EngineError(
                f"Docker does not give {what}", where=self.endpoint, why=str(error), next_step=_next_step(self.endpoint)
            ) from error


def _knock(endpoint: str) -> int | None:
    """Connect once, to tell "not running" from "not allowed", and to learn who listens."""
    path = endpoint.removeprefix("unix://")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(TIMEOUT_SECONDS)
            channel.connect(path)
            credentials = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    except PermissionError as error:
        raise PermissionNeededError(
            f"you may not use Docker's socket {path}",
            why="it is open to root and to the group docker",
            next_step="run remedy as root",
        ) from error
    except OSError as error:
        raise _no_answer(endpoint, error.strerror or str(error)) from error
    return int(struct.unpack("3i", credentials)[0]) or None


def _connect(endpoint: str) -> APIClient:
    from docker.api.client import APIClient
    from docker.errors import DockerException
    from docker.utils import kwargs_from_env

    try:
        # Certificates of a remote engine come from the environment, as for the docker command.
        options = {} if is_local(endpoint) else kwargs_from_env({**os.environ, "DOCKER_HOST": endpoint})
        options["base_url"] = endpoint
        return APIClient(
            version="auto", timeout=TIMEOUT_SECONDS, use_ssh_client=endpoint.startswith("ssh://"), **options
        )
    except DockerException as error:
        raise _no_answer(endpoint, str(error)) from error


def _no_answer(endpoint: str, why: str) -> EngineError:
    return EngineError(f"Docker does not answer at {endpoint}", why=why, next_step=_next_step(endpoint))


def _next_step(endpoint: str) -> str:
    return "systemctl status docker" if is_local(endpoint) else "check DOCKER_HOST"
