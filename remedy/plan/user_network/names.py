"""Under which name each container is found on the network, and which alias all containers of a service share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from remedy.facts.model import Container
from remedy.plan.selection import PROJECT_LABEL, SERVICE_LABEL

# Lower case, because DNS has no case and the engine's names have.
_SAFE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# haproxy takes underscores in names too (resolv_hostname_validation), and compose's containers may have them: theirs
# come back by themselves, aliases only with a compose file that gives them.
_SAFE_OF_COMPOSE = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
Service = tuple[str, str]


def service_of(container: Container) -> Service | None:
    """(project, service) of a container that compose made."""
    project, service = container.labels.get(PROJECT_LABEL), container.labels.get(SERVICE_LABEL)
    return (project, service) if project and service else None


def names_for(members: Sequence[Container], taken: Mapping[str, set[str]]) -> dict[str, str]:
    """Each member's name on the network, by container id: its own where that is safe in DNS, else an alias.

    taken: names in lower case -> ids of the containers on the network that answer to them.
    """
    used = {name: set(ids) for name, ids in taken.items()}
    for member in members:
        used.setdefault(member.name.lower(), set()).add(member.id)
    found: dict[str, str] = {}
    for member in members:
        pattern = _SAFE if service_of(member) is None else _SAFE_OF_COMPOSE
        is_safe = pattern.fullmatch(member.name) is not None and used[member.name.lower()] == {member.id}
        name = member.name if is_safe else _alias(member, used)
        used.setdefault(name, set()).add(member.id)
        found[member.id] = name
    return found


def service_aliases(members: Sequence[Container], taken: Mapping[str, set[str]]) -> dict[Service, str]:
    """A name for each compose service that nobody else on the network answers to."""
    services: dict[Service, set[str]] = {}
    for member in members:
        service = service_of(member)
        if service is not None:
            services.setdefault(service, set()).add(member.id)
    aliases: dict[Service, str] = {}
    for service, ids in services.items():
        for wanted in (f"{service[0]}-{service[1]}", f"{service[0]}-{service[1]}-all"):
            alias = _made_safe(wanted)
            if alias not in aliases.values() and taken.get(alias, set()) <= ids:
                aliases[service] = alias
                break
    return aliases


def shared_alias(ids: set[str], names: Mapping[str, set[str]], service: str) -> str | None:
    """The service's plain name, where exactly these containers have it on the network already."""
    return service if names.get(service.lower()) == ids else None


def _alias(member: Container, used: Mapping[str, set[str]]) -> str:
    alias = _made_safe(member.name)
    return alias if used.get(alias, set()) <= {member.id} else f"{alias[:50]}-{member.id[:8]}"


def _made_safe(name: str) -> str:
    return re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")[:63].rstrip("-") or "container"
