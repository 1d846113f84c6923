"""Creates a topology's networks and containers by the engine's API: from outside, side by side."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from remedy.errors import LabError
from remedy.lab.containers import container_request, expected_ports
from remedy.lab.topology import Container, Network, Topology

_WORKERS = 8
# Few containers are started one after the other, so that their addresses follow the file's order.
_ORDERED_UP_TO = 8
_READY_TIMEOUT_SECONDS = 30.0


def populate(base_url: str, topology: Topology, root: Path) -> None:
    """Make everything that the topology names and wait until the containers listen.

    base_url: the engine's socket as the Docker SDK writes it. root: the host's root seen from the machine.
    Raises LabError with the engine's words when it refuses something.
    """
    import docker

    client = docker.APIClient(base_url=base_url, version="auto", timeout=60, num_pools=_WORKERS)
    try:
        for network in topology.networks:
            _make_network(client, network)
        for wave in _waves(topology.containers):
            _each(wave, lambda container: _create(client, container, topology))
            started = [container for container in wave if container.state != "created"]
            _each(started, lambda container: _start(client, container), ordered=len(started) <= _ORDERED_UP_TO)
            _each(started, lambda container: _settle(client, container, root))
    except docker.errors.APIError as error:
        raise LabError("the engine refuses the topology", why=error.explanation or str(error)) from error
    finally:
        client.close()


def wait_for_containers(base_url: str, topology: Topology, root: Path) -> None:
    """After a boot: wait until those of the topology's containers that the engine started again listen."""
    import docker

    client = docker.APIClient(base_url=base_url, version="auto", timeout=60)
    try:
        running = {name.lstrip("/") for entry in client.containers() for name in entry["Names"]}
        for container in topology.containers:
            if container.name in running:
                _wait_until_listening(client, container, root)
    finally:
        client.close()


def _each(containers: list[Container], act: Callable[[Container], None], *, ordered: bool = False) -> None:
    pool = ThreadPoolExecutor(1 if ordered else _WORKERS)
    try:
        for _ in pool.map(act, containers):
            pass
    finally:
        # After an error or ^C nobody waits: the host goes, and what is under way fails by itself.
        pool.shutdown(wait=False, cancel_futures=True)


def _waves(containers: Iterable[Container]) -> list[list[Container]]:
    """Containers that share another one's network come after it."""
    first: list[Container] = []
    later: list[Container] = []
    for container in containers:
        (later if (container.network_mode or "").startswith("container:") else first).append(container)
    return [wave for wave in (first, later) if wave]


def _make_network(client: Any, network: Network) -> None:
    """Ask by the API's own words: the SDK has none for networks without IPv4."""
    gateways = [network.gateway] + [None] * len(network.subnets)
    pools = [
        {"Subnet": str(subnet), **({"Gateway": gateway} if gateway else {})}
        for subnet, gateway in zip(network.subnets, gateways, strict=False)
    ]
    request = {
        "Name": network.name,
        "Driver": network.driver,
        "Options": network.options,
        "Labels": network.labels,
        "Internal": network.internal,
        "EnableIPv6": network.ipv6,
        "IPAM": {"Driver": "default", "Config": pools} if pools else None,
        **({} if network.ipv4 else {"EnableIPv4": False}),
    }
    client._result(client._post_json(client._url("/networks/create"), data=request), True)


def _create(client: Any, container: Container, topology: Topology) -> None:
    client.create_container_from_config(container_request(container, topology), name=container.name)
    for attachment in container.networks[1:]:
        client.connect_container_to_network(
            container.name,
            attachment.network,
            aliases=list(attachment.aliases) or None,
            ipv4_address=attachment.ipv4,
            ipv6_address=attachment.ipv6,
        )
    if container.files:
        client.put_archive(container.name, "/", _archive(container))


def _start(client: Any, container: Container) -> None:
    client.start(container.name)


def _settle(client: Any, container: Container, root: Path) -> None:
    """Wait until it listens, then bring it to its state."""
    _wait_until_listening(client, container, root)
    if container.state == "stopped":
        client.stop(container.name, timeout=1)
    elif container.state == "paused":
        client.pause(container.name)


def _wait_until_listening(client: Any, container: Container, root: Path) -> None:
    """Looks at the kernel's socket table rather than connecting, which would leave conntrack entries."""
    wanted = expected_ports(container)
    deadline = time.monotonic() + _READY_TIMEOUT_SECONDS
    while wanted:
        state = client.inspect_container(container.name)["State"]
        if not state["Running"] and container.restart == "no":
            log = client.logs(container.name, tail=5).decode(errors="replace").strip()
            raise LabError(f"the container {container.name} ended with status {state['ExitCode']}", why=log or None)
        if state["Pid"] and wanted <= _listening(root / f"proc/{state['Pid']}/net"):
            return
        if time.monotonic() > deadline:
            raise LabError(f"the container {container.name} does not listen on {sorted(wanted)}")
        time.sleep(0.02)


def _listening(net: Path) -> set[int]:
    ports = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (net / table).read_text().splitlines()[1:]
        except OSError:
            continue
        ports |= {int(fields[1].rpartition(":")[2], 16) for fields in map(str.split, lines) if fields[3] == "0A"}
    return ports


def _archive(container: Container) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in container.files:
            info = tarfile.TarInfo(file.path.lstrip("/"))
            info.mode = int(file.mode, 8)
            data = file.content.encode()
            if file.link_to is not None:
                info.type, info.linkname, data = tarfile.SYMTYPE, file.link_to, b""
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
