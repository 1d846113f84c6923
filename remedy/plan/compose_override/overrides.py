"""What keeps the services on the network when compose makes their containers again: an override file of remedy's."""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from remedy.facts.model import ComposeProject, Container, FileState, HostFacts, Network
from remedy.plan.model import Action, FileContent, PlanWarning, WriteComposeOverride
from remedy.plan.selection import PROJECT_LABEL, SERVICE_LABEL

NETWORK_LABEL = "com.docker.compose.network"
DEFAULT_NETWORK = "bridge"
_HEADER = """\
# Written by remedy. Keeps these services on the network {network} when compose makes their containers again.
# `remedy rollback` removes it; so may you, with `remedy status` telling what is then missing.
"""
Aliases = Mapping[tuple[str, str], str]


def plan_overrides(
    facts: HostFacts, network_name: str, members: Sequence[Container], aliases: Aliases
) -> tuple[tuple[Action, ...], tuple[PlanWarning, ...]]:
    """The override files and warnings for containers that are to stay on the network.

    aliases: (project, service) -> what all its containers are called there.
    """
    actions: list[Action] = []
    warnings: list[PlanWarning] = []
    for project, services in _by_project(members).items():
        if not _is_kept_by_project(facts, network_name, project, services):
            made, told = _for_project(facts, network_name, project, services, aliases)
            actions += made
            warnings += told
    plain = [member for member in members if SERVICE_LABEL not in member.labels and _joins(network_name, member)]
    warnings += _about_plain(network_name, plain)
    return tuple(actions), tuple(warnings)


def _by_project(members: Sequence[Container]) -> dict[str, dict[str, Container]]:
    """project -> service -> its first container."""
    found: dict[str, dict[str, Container]] = {}
    for member in members:
        project, service = member.labels.get(PROJECT_LABEL), member.labels.get(SERVICE_LABEL)
        if project and service:
            found.setdefault(project, {}).setdefault(service, member)
    return found


def _joins(network_name: str, container: Container) -> bool:
    return all(endpoint.network_name != network_name for endpoint in container.endpoints)


def _is_kept_by_project(facts: HostFacts, network_name: str, project: str, services: Mapping[str, Container]) -> bool:
    """Whether the project's own files put these services there: its own network, or the alias that compose gives.

    With an override of remedy's in place nothing can be told from that, and the override is looked at instead.
    """
    network = next((known for known in facts.networks if known.name == network_name), None)
    if network is not None and network.labels.get(PROJECT_LABEL) == project:
        return True
    known = _project(facts, project)
    if known is not None and known.override is not None and known.override.raw is not None:
        return False
    return all(
        any(e.network_name == network_name and service in e.aliases for e in container.endpoints)
        for service, container in services.items()
    )


def _project(facts: HostFacts, name: str) -> ComposeProject | None:
    return next((project for project in facts.compose_projects if project.name == name), None)


def _for_project(
    facts: HostFacts, network_name: str, project: str, services: Mapping[str, Container], aliases: Aliases
) -> tuple[tuple[Action, ...], tuple[PlanWarning, ...]]:
    networks = {network.id: network for network in facts.networks}
    kept = {service: c for service, c in services.items() if not _has_no_networks(c)}
    if not kept:
        return (), ()
    content = override_text(network_name, project, kept, aliases, networks)
    known = _project(facts, project)
    if known is None or known.problem is not None or known.override is None:
        return (), (_snippet(project, content, "nobody knows where they are" if known is None else known.problem),)
    told = [_include(known, content)] if not known.is_read_by_compose else []
    told += _moves(project, kept)
    if known.override.raw == content:
        return (), tuple(told)
    return (_action(known, known.override, tuple(kept), content),), (*told, _recreates(project, tuple(kept)))


def _has_no_networks(container: Container) -> bool:
    mode = container.network_mode
    return mode in ("host", "none") or mode.startswith("container:")


def override_text(
    network_name: str,
    project: str,
    services: Mapping[str, Container],
    aliases: Aliases,
    networks: Mapping[str, Network],
) -> bytes:
    """The override file. Compose merges its networks into those that the services have."""
    from ruamel.yaml import YAML

    described = {
        service: _service(network_name, project, service, container, aliases, networks)
        for service, container in sorted(services.items())
    }
    document = {"services": described, "networks": {network_name: {"external": True, "name": network_name}}}
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096
    stream = io.BytesIO()
    yaml.dump(document, stream)
    return _HEADER.format(network=network_name).encode() + stream.getvalue()


def _service(
    network_name: str,
    project: str,
    service: str,
    container: Container,
    aliases: Aliases,
    networks: Mapping[str, Network],
) -> dict[str, object]:
    alias = aliases.get((project, service))
    joined: dict[str, object] = {key: {} for key in _own_networks(project, container, networks)}
    reset: dict[str, object] = {}
    if container.network_mode in (DEFAULT_NETWORK, "default"):
        # compose refuses networks beside a network_mode; without one the service is on the project's default network.
        reset = {"network_mode": _reset()}
        joined = {"default": {}}
    joined[network_name] = {"aliases": [alias]} if alias else {}
    return {**reset, "networks": joined}


def _reset() -> object:
    """`!reset null`: compose takes the key away (2.18 and later)."""
    from ruamel.yaml.comments import TaggedScalar

    return TaggedScalar(value="null", style=None, tag="!reset")


def _own_networks(project: str, container: Container, networks: Mapping[str, Network]) -> Iterator[str]:
    """The project's own networks that the service is on, by the keys of its file."""
    for endpoint in container.endpoints:
        network = networks.get(endpoint.network_id)
        if network is not None and network.labels.get(PROJECT_LABEL) == project:
            yield network.labels.get(NETWORK_LABEL, "default")


def _action(
    project: ComposeProject, present: FileState, services: tuple[str, ...], content: bytes
) -> WriteComposeOverride:
    made = present.raw is None
    original = FileContent(path=present.path, raw=present.raw, mode=present.mode, uid=present.uid, gid=present.gid)
    owner = {"mode": project.mode, "uid": project.uid, "gid": project.gid} if made else {}
    return WriteComposeOverride(
        id=f"compose_override:{project.name}",
        summary=f"{'write' if made else 'update'} {PurePosixPath(present.path).name} for the compose project "
        f"{project.name}",
        reason="what compose does not know of, it leaves out when it makes a container again",
        before="no such file" if made else "as remedy wrote it earlier",
        after=f"{', '.join(services)} on the network, whoever starts them",
        inverse="remove the file" if made else "the file as it was before",
        path=present.path,
        project=project.name,
        services=services,
        content=original.model_copy(update={"raw": content, **owner}),
        original=original,
        compose_files=tuple(path for path in project.files if path != present.path),
        working_directory=project.working_directory,
    )


def _include(project: ComposeProject, content: bytes) -> PlanWarning:
    del content
    path = project.override.path if project.override is not None else ""
    files = " ".join(f"-f {shlex.quote(file)}" for file in project.files if file != path)
    return PlanWarning(
        code="compose-include",
        what=f"compose does not read {path} by itself",
        detail=f"the project {project.name} is started with files of its own choice: add it wherever you start it, "
        f"docker compose {files} -f {shlex.quote(path)} up -d, or in COMPOSE_FILE; without it the next recreation "
        "takes the services off the network",
    )


def _moves(project: str, services: Mapping[str, Container]) -> Iterator[PlanWarning]:
    moving = sorted(s for s, c in services.items() if c.network_mode in (DEFAULT_NETWORK, "default"))
    if moving:
        yield PlanWarning(
            code="compose-leaves-bridge",
            what=f"{', '.join(moving)} of {project} will be on {project}_default instead of Docker's default bridge",
            detail="when compose makes them again: it allows no networks beside `network_mode: bridge`. Published "
            "ports stay; what uses their addresses on the default bridge, or `links`, does not. To have it "
            "otherwise, remove the file after apply, and apply again after each recreation",
        )


def _recreates(project: str, services: tuple[str, ...]) -> PlanWarning:
    return PlanWarning(
        code="compose-recreates",
        what=f"the next `docker compose up` of {project} makes these containers again: {', '.join(services)}",
        detail="once, because their definition has changed; until then nothing happens to them",
    )


def _snippet(project: str, content: bytes, why: str | None) -> PlanWarning:
    return PlanWarning(
        code="compose-snippet",
        what=f"the next recreation by compose takes the services of {project} off the network",
        detail=f"its files cannot be added to here ({why}); put this into an override file there:\n" + content.decode(),
    )


def _about_plain(network_name: str, plain: Sequence[Container]) -> Iterator[PlanWarning]:
    if plain:
        names = ", ".join(container.name for container in plain)
        yield PlanWarning(
            code="recreation",
            what=f"whoever makes these containers again takes them off the network: {names}",
            detail=f"start them with --network {shlex.quote(network_name)} beside what they have, or run `remedy "
            "apply` again afterwards",
        )
