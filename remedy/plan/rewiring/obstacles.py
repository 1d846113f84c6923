"""When haproxy cannot be led to its servers by name: each refusal names the reason and what would cure it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from remedy.facts.model import Container, HaproxyFacts, HaproxyFile, HostFacts
from remedy.plan.model import Refusal
from remedy.plan.refusals import unread_refusals


def no_load_balancer(unit: str | None) -> Refusal:
    """The spec names none, or one that no user-defined network can take in."""
    if unit is None:
        return Refusal(
            code="no-load-balancer",
            what="user_network needs a load balancer, and the spec names none",
            why="it is the one whose servers are led to the backends by name",
            cure="load_balancer: NAME of the haproxy container; `remedy init` proposes it",
        )
    return Refusal(
        code="load-balancer-on-host",
        what=f"{unit} runs on the host, and user_network is for a haproxy in a container",
        why="the engine's DNS answers inside containers only, and the host cannot join a user-defined network",
        cure="leave user_network out; userland_proxy: false, or hairpin: {loopback: true}, takes docker-proxy out of "
        "the host's own ways to published ports",
    )


def haproxy_refusals(
    facts: HostFacts, balancer: Container, haproxy: HaproxyFacts | None, members: Sequence[Container]
) -> Iterator[Refusal]:
    """What forbids it whatever the configuration says."""
    yield from unread_refusals(facts)
    if haproxy is None or not haproxy.files:
        known = haproxy or next((h for h in facts.haproxies if h.container_id == balancer.id), None)
        yield Refusal(
            code="no-haproxy",
            what=f"the configuration of haproxy in {balancer.name} is not known",
            why="no haproxy process was found in it" if known is None else known.problem or "no file of it was read",
            cure=f"docker ps --filter name={shlex.quote(balancer.name)}; remedy facts shows what was read",
        )
    if not members:
        yield Refusal(
            code="no-backends",
            what="user_network needs backends, and no container of the spec's backends runs a TCP server",
            why="there is nothing to lead the load balancer to",
            cure="backends: [{containers: [...], port: ...}]; `remedy init` proposes them",
        )


def cannot_reload(balancer: Container) -> Refusal:
    """Neither a reload nor the runtime API."""
    return Refusal(
        code="haproxy-cannot-reload",
        what=f"haproxy in {balancer.name} can be neither reloaded nor told to change a server",
        why="it does not run in master-worker mode (-W), and no stats socket of level admin is configured",
        cure="start it with -W (the official image does), or allow its restart, which cuts its connections: "
        "user_network: {name: ..., restart_load_balancer: true}",
        accepted_by="user_network: {restart_load_balancer: true}",
    )


def config_in_image(balancer: Container, path: str) -> Refusal:
    """The file is part of the image, and there is no runtime API."""
    return Refusal(
        code="config-in-image",
        what=f"{path} is part of the image of {balancer.name}, not mounted from the host",
        why="what is written into a container is lost with it, and no stats socket of level admin is configured by "
        "which the running haproxy could be told",
        cure="mount the configuration from the host, or add `stats socket /var/run/haproxy.sock level admin`",
    )


def pinned_servers(balancer: Container, why: str) -> Refusal:
    """The runtime API knows addresses, not names."""
    return Refusal(
        code="pinned",
        what=f"the servers of haproxy in {balancer.name} would be pinned to the containers' present addresses",
        why=f"{why}, so that only the runtime API is left, which takes addresses; nothing in this version follows a "
        "container that is made again",
        cure="accept it with accept_pinned: true, or start haproxy with -W and a configuration that is mounted",
        accepted_by="accept_pinned: true",
    )


def file_refusal(file: HaproxyFile) -> Refusal | None:
    """A file that must not, or cannot, be written in place."""
    if file.host_path is None or (file.host_device, file.host_inode) == (file.device, file.inode):
        return None
    gone = file.host_inode is None
    return Refusal(
        code="config-replaced",
        what=f"{file.host_path} on the host is not the file that haproxy sees as {file.path}",
        why="it is gone: haproxy sees the file that was there when the container started"
        if gone
        else "an editor, or a deployment, has put another file in its place; a single file that is bind-mounted goes "
        "on being the old one",
        cure="compare the two (docker exec CONTAINER cat FILE), then restart the container, which takes up the new one",
    )
