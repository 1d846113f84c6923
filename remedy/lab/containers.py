"""What the engine is asked for, for one container of a topology: a pure translation."""

from __future__ import annotations

import hashlib
from typing import Any

from remedy.lab.topology import Attachment, ComposePlace, Container, Topology

CONTAINER_IMAGE = "remedy-lab:latest"
IMAGE_ENTRYPOINT = "/lab/start.sh"


def container_request(container: Container, topology: Topology) -> dict[str, Any]:
    """The body of the engine API's ContainerCreate request."""
    request: dict[str, Any] = {
        "Image": CONTAINER_IMAGE,
        "Cmd": list(container.command or (container.role,)),
        "Env": [f"{key}={value}" for key, value in _environment(container).items()],
        "Labels": {**_compose_labels(container.compose, topology), **container.labels},
        "ExposedPorts": {f"{port.port}/{port.protocol}": {} for port in container.publish},
        "HostConfig": _host_config(container),
    }
    if container.stop_timeout is not None:
        request["StopTimeout"] = container.stop_timeout
    if container.networks:
        request["NetworkingConfig"] = {
            "EndpointsConfig": {container.networks[0].network: _endpoint(container.networks[0])}
        }
    return request


def _endpoint(attachment: Attachment) -> dict[str, Any]:
    """The engine API's EndpointSettings."""
    settings: dict[str, Any] = {}
    if attachment.aliases:
        settings["Aliases"] = list(attachment.aliases)
    if attachment.ipv4 or attachment.ipv6:
        settings["IPAMConfig"] = {"IPv4Address": attachment.ipv4 or "", "IPv6Address": attachment.ipv6 or ""}
    return settings


def expected_ports(container: Container) -> set[int]:
    """The TCP ports which it will listen on, once it is up: known for the image's own servers only."""
    if container.command is not None:
        return set()
    if container.role in ("nginx", "echo"):
        return set(container.listen)
    if container.role == "haproxy":
        return {port.port for port in container.publish if port.protocol == "tcp"}
    return set()


def _environment(container: Container) -> dict[str, str]:
    return {"LAB_NAME": container.name, "LAB_LISTEN": " ".join(map(str, container.listen)), **container.env}


def _host_config(container: Container) -> dict[str, Any]:
    policy, _, retries = container.restart.partition(":")
    config: dict[str, Any] = {
        "RestartPolicy": {"Name": policy, "MaximumRetryCount": int(retries or 0)},
        "NetworkMode": container.networks[0].network if container.networks else container.network_mode or "default",
        "PortBindings": _port_bindings(container),
        "Binds": [f"{mount.source}:{mount.target}:{'ro' if mount.read_only else 'rw'}" for mount in container.mounts],
        "Privileged": container.privileged,
        "CapAdd": list(container.cap_add),
    }
    if container.sysctls:
        config["Sysctls"] = container.sysctls
    return config


def _port_bindings(container: Container) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in container.publish:
        binding = {"HostIp": port.host_ip or "", "HostPort": str(port.host_port or "")}
        bindings.setdefault(f"{port.port}/{port.protocol}", []).append(binding)
    return bindings


def _compose_labels(place: ComposePlace | None, topology: Topology) -> dict[str, str]:
    """The labels that Compose v2 sets, as far as anybody reads them."""
    if place is None:
        return {}
    labels = {
        "project": place.project,
        "service": place.service,
        "container-number": str(place.number),
        "oneoff": "False",
        "version": "2.26.1",
        "depends_on": "",
        # A real hash is over the service's definition; an `up` by Compose itself recreates the container.
        "config-hash": hashlib.sha256(f"{place.project}/{place.service}".encode()).hexdigest(),
    }
    project = next((project for project in topology.compose if project.name == place.project), None)
    if project is not None:
        labels["project.working_dir"] = project.directory
        labels["project.config_files"] = f"{project.directory}/{project.file}"
    return {f"com.docker.compose.{key}": value for key, value in labels.items()}
