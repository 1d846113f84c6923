"""Spells out a topology's shorthand: `count` in containers, @each and @with in files.

    @each SERVICE: TEXT   one line for each container of the service: {n}, {name}, {host_port}, {port}
    @with SERVICE: TEXT   one line: {count}, {first_port}, {last_port}

SERVICE is a compose service, or a container's name as written in the topology. Only lines that begin with these
words (after blanks) are touched, so the braces of other languages are safe.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from remedy.errors import LabError
from remedy.lab.topology import Container, File, Topology

_DIRECTIVE = re.compile(r"(?P<indent>\s*)@(?P<kind>each|with) (?P<service>[^:]+): ?(?P<text>.*)")


def spell_out(topology: Topology) -> Topology:
    """The same host with one entry per container and plain files; LabError for a service that is not there."""
    scaled = [_scaled(container, topology.scale) for container in topology.containers]
    _check_scale(topology)
    groups = {_service(container): _replicas(container) for container in scaled}
    return topology.model_copy(
        update={
            "scale": {},
            "containers": tuple(replica for container in scaled for replica in _replicas(container)),
            "files": tuple(_expanded(file, groups) for file in topology.files),
        }
    )


def _service(container: Container) -> str:
    return container.compose.service if container.compose else container.name


def _check_scale(topology: Topology) -> None:
    services = {_service(container) for container in topology.containers}
    for name in topology.scale:
        if name not in services:
            raise LabError(f"there is no service {name!r} to scale", why=f"services: {', '.join(sorted(services))}")


def _scaled(container: Container, scale: dict[str, int]) -> Container:
    count = scale.get(_service(container))
    return container if count is None else container.model_copy(update={"count": count})


def _replicas(container: Container) -> list[Container]:
    if container.count is None:
        return [container]
    return [_replica(container, number) for number in range(1, container.count + 1)]


def _replica(container: Container, number: int) -> Container:
    def numbered(text: str) -> str:
        return text.replace("{n}", str(number))

    publish = tuple(
        port.model_copy(update={"host_port": port.host_port + number - 1}) if port.host_port else port
        for port in container.publish
    )
    return container.model_copy(
        update={
            "name": numbered(container.name),
            "count": None,
            "publish": publish,
            "command": container.command and tuple(numbered(word) for word in container.command),
            "env": {key: numbered(value) for key, value in container.env.items()},
            "labels": {key: numbered(value) for key, value in container.labels.items()},
            "compose": container.compose and container.compose.model_copy(update={"number": number}),
        }
    )


def _expanded(file: File, groups: dict[str, list[Container]]) -> File:
    if "@" not in file.content:
        return file
    lines = (new for line in file.content.splitlines() for new in _expand_line(line, groups, file.path))
    return file.model_copy(update={"content": "".join(f"{line}\n" for line in lines)})


def _expand_line(line: str, groups: dict[str, list[Container]], path: str) -> Iterator[str]:
    found = _DIRECTIVE.fullmatch(line)
    if found is None:
        yield line
        return
    replicas = groups.get(found["service"])
    if not replicas:
        raise LabError(f"no container is of the service {found['service']!r}", where=path, why=line.strip())
    if found["kind"] == "with":
        ports = [port.host_port for replica in replicas for port in replica.publish if port.host_port]
        values = {"count": len(replicas), "first_port": min(ports, default=0), "last_port": max(ports, default=0)}
        yield found["indent"] + found["text"].format(**values)
        return
    for number, replica in enumerate(replicas, start=1):
        published = replica.publish[0] if replica.publish else None
        each: dict[str, object] = {
            "n": number,
            "name": replica.name,
            "host_port": (published and published.host_port) or 0,
            "port": published.port if published else replica.listen[0],
        }
        yield found["indent"] + found["text"].format(**each)
