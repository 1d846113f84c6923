"""The engine's networks as something that is made, joined and left: the docker SDK's low-level client, used late."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from remedy.errors import EngineError
from remedy.facts.model import Address, Subnet

if TYPE_CHECKING:
    from docker.api.client import APIClient

TIMEOUT_SECONDS = 60


class EngineNetworks:
    """One engine's networks, by one client that is closed again. Every method raises EngineError."""

    def __init__(self, client: APIClient) -> None:
        self._client = client

    def named(self, name: str) -> dict[str, Any] | None:
        """The network of exactly this name; None when there is none."""
        listed = _asked("the list of networks", lambda: self._client.networks(names=[name]))
        return next((network for network in listed if network["Name"] == name), None)

    def id_of(self, name: str) -> str | None:
        """The id of the network of exactly this name; None when there is none."""
        found = self.named(name)
        return None if found is None else str(found["Id"])

    def labelled(self, label: str, value: str) -> dict[str, Any] | None:
        """The network with this label; None when there is none."""
        filters = {"label": f"{label}={value}"}
        listed = _asked("the list of networks", lambda: self._client.networks(filters=filters))
        return next((network for network in listed if (network.get("Labels") or {}).get(label) == value), None)

    def members(self, network_id: str) -> list[str]:
        """The names of all containers that are on a network, or will be when they start."""
        listed = _asked("the list of containers", lambda: self._client.containers(all=True))
        return [
            container["Names"][0].lstrip("/")
            for container in listed
            for endpoint in ((container.get("NetworkSettings") or {}).get("Networks") or {}).values()
            if endpoint.get("NetworkID") == network_id
        ]

    def create(self, name: str, *, internal: bool, subnets: Sequence[Subnet], labels: dict[str, str]) -> str:
        """Make a bridge network, and return its id."""
        from docker.types import IPAMConfig, IPAMPool

        pools = [IPAMPool(subnet=str(subnet), gateway=str(subnet[1])) for subnet in subnets]
        made = _asked(
            f"a new network {name}",
            lambda: self._client.create_network(
                name,
                driver="bridge",
                internal=internal,
                enable_ipv6=any(subnet.version == 6 for subnet in subnets),
                ipam=IPAMConfig(pool_configs=pools),
                labels=labels,
                check_duplicate=True,
            ),
        )
        return str(made["Id"])

    def remove(self, network_id: str) -> None:
        """Remove a network that nobody is on."""
        _asked(f"the removal of network {network_id[:12]}", lambda: self._client.remove_network(network_id))

    def connect(
        self, container_id: str, network_id: str, aliases: Sequence[str], addresses: Sequence[Address] = ()
    ) -> None:
        """Connect a container; running or not."""
        four = next((str(a) for a in addresses if a.version == 4), None)
        six = next((str(a) for a in addresses if a.version == 6), None)
        _asked(
            f"the connection of {container_id[:12]}",
            lambda: self._client.connect_container_to_network(
                container_id, network_id, aliases=list(aliases) or None, ipv4_address=four, ipv6_address=six
            ),
        )

    def disconnect(self, container_id: str, network_id: str) -> None:
        """Disconnect a container."""
        _asked(
            f"the disconnection of {container_id[:12]}",
            lambda: self._client.disconnect_container_from_network(container_id, network_id),
        )

    def container(self, container_id: str) -> dict[str, Any] | None:
        """A container as `docker inspect` shows it; None when it is gone."""
        from docker.errors import NotFound

        try:
            found: dict[str, Any] = _asked(
                f"container {container_id[:12]}", lambda: self._client.inspect_container(container_id)
            )
        except EngineError as error:
            if isinstance(error.__cause__, NotFound):
                return None
            raise
        return found


@contextmanager
def engine_networks(socket: str) -> Iterator[EngineNetworks]:
    """Open a client. Raises EngineError when the engine does not answer."""
    from docker.api.client import APIClient

    client = _asked("its version", lambda: APIClient(base_url=socket, version="auto", timeout=TIMEOUT_SECONDS))
    try:
        yield EngineNetworks(client)
    finally:
        client.close()


def _asked(what: str, question: Callable[[], Any]) -> Any:
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    try:
        return question()
    except APIError as error:
        raise EngineError(f"Docker refuses {what}", why=error.explanation or str(error)) from error
    except (DockerException, RequestException, ValueError) as error:
        raise EngineError(f"Docker does not give {what}", why=str(error)) from error
