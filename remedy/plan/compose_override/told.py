"""What the operator is told about recreation: what the override changes, and what it cannot keep."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from remedy.facts.model import ComposeProject, Container, HostFacts
from remedy.plan.compose_override.stays import BRIDGE_MODES, Services, Stays
from remedy.plan.model import PlanWarning

SHOWN = 8


def include(project: ComposeProject, path: str) -> PlanWarning:
    """How a file that compose does not read by itself gets read."""
    files = [file for file in project.files if file != path]
    given = " ".join(f"-f {shlex.quote(file)}" for file in (*files, path))
    return PlanWarning(
        code="compose-include",
        what=f"compose does not read {path} by itself",
        detail=f"{project.name} is started with files of its own choice, or has an override of yours. Wherever you "
        f"start it: docker compose {given} up -d; or once, in {PurePosixPath(project.working_directory, '.env')}: "
        f"COMPOSE_FILE={':'.join((*files, path))}. Without it the next recreation takes the services off the network",
    )


def leaves_bridge(facts: HostFacts, project: str, services: Services, stays: Stays, path: str) -> Iterator[PlanWarning]:
    """What it means that services leave the engine's default bridge; nothing when they have left already."""
    moving = [s for s in stays.leaving if services[s][0].network_mode in BRIDGE_MODES]
    if not moving:
        return
    bridge = next((network for network in facts.networks if network.name == "bridge"), None)
    subnets = ", ".join(str(subnet) for subnet in bridge.subnets) if bridge is not None else ""
    device = bridge.bridge if bridge is not None and bridge.bridge else "docker0"
    known = f"{device} or {subnets}" if subnets else device
    moved = {container.id for service in moving for container in services[service]}
    left = [c.name for c in facts.containers if c.is_running and c.network_mode in BRIDGE_MODES and c.id not in moved]
    neighbours = (
        f"{_listed(left)} stay there, and reach them by published ports only, without docker-proxy not at all. "
        if left
        else ""
    )
    yield PlanWarning(
        code="compose-leaves-bridge",
        what=f"{_listed(moving)} of {project} leave the default bridge ({device}) when compose makes them again",
        detail="compose allows no networks beside `network_mode: bridge`: the override takes that line away, they go "
        "onto the project's default network. Published ports stay. Rules and services that know them by "
        f"{known} (your firewall, pg_hba.conf) do not know them any more. {neighbours}To have it otherwise: remove "
        f"{path} after apply, and apply again after each recreation",
    )


def recreates(project: ComposeProject, services: Sequence[str]) -> PlanWarning:
    """What the next `up` does."""
    by_itself = " Where you start it with -f, name this file too." if project.is_read_by_compose else ""
    return PlanWarning(
        code="compose-recreates",
        what=f"the next `docker compose up -d` of {project.name} makes these containers again: {_listed(services)}",
        detail="once, because their definition has changed, and with the interruption that this always is; until then "
        f"nothing happens to them.{by_itself}",
    )


def snippet(project: str, content: bytes, why: str) -> PlanWarning:
    """The text to paste where nothing can be written."""
    return PlanWarning(
        code="compose-snippet",
        what=f"the next recreation by compose takes the services of {project} off the network",
        detail=f"nothing can be written beside its files here ({why}); put this into an override file where they are:\n"
        + content.decode(),
    )


def without_networks(project: str, network: str, stays: Stays) -> Iterator[PlanWarning]:
    """Services whose network_mode allows no other network, and a compose that is too old."""
    for service, mode in stays.modes:
        yield PlanWarning(
            code="compose-mode",
            what=f"{service} of {project} cannot stay on {network}",
            detail=f"its network_mode is {mode}, beside which there are no networks",
        )
    if stays.too_old:
        yield PlanWarning(
            code="compose-too-old",
            what=f"the next recreation by compose takes these services of {project} off {network}: "
            f"{_listed(stays.too_old)}",
            detail="they have `network_mode: bridge`, which an override can take away only with compose 2.18 or later "
            "(!reset). Take the line out of the compose file yourself and add the network there, or apply again after "
            "each recreation",
        )


def about_plain(network: str, plain: Sequence[Container], names: dict[str, str]) -> Iterator[PlanWarning]:
    """Containers that nobody's compose file makes again."""
    if not plain:
        return
    connect = [
        " ".join(
            [
                "docker network connect",
                *_alias_option(names.get(c.id, c.name).removesuffix(f".{network}"), c),
                shlex.quote(network),
                shlex.quote(c.name),
            ]
        )
        for c in plain[:SHOWN]
    ]
    yield PlanWarning(
        code="recreation",
        what=f"whoever makes these containers again takes them off the network: {_listed([c.name for c in plain])}",
        # `docker run` takes no second --network beside the default bridge (20.10 to 28.5), and on 20.10 none at all.
        detail=f"connect them then: {'; '.join(connect)}. Between `docker create` and `docker start` that leaves no "
        "gap. Or run `remedy apply` again",
    )


def _alias_option(name: str, container: Container) -> list[str]:
    return [] if name == container.name else [f"--alias {shlex.quote(name)}"]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
