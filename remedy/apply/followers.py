"""Containers that came after a run and are its business all the same: in the place of others, or more of a service.

Compose makes a container again under the same name, and more of them when a service is scaled up; by the override that
the run wrote they all join the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from remedy.facts.model import Container, HostFacts
from remedy.plan.actions import Action, ConnectNetwork, NetworkMember, RewireHaproxy, WriteComposeOverride
from remedy.plan.selection import PROJECT_LABEL, SERVICE_LABEL


def belongs_to_run(container: Container, planned: Sequence[Action], network: str) -> bool:
    """Whether a container is on the network because of the run: a member's name, or a service of its override."""
    for action in planned:
        if isinstance(action, ConnectNetwork) and action.network == network:
            if container.name in {member.container for member in action.members}:
                return True
        elif isinstance(action, WriteComposeOverride) and _is_of(container, action):
            return True
    return False


def with_followers(action: Action, planned: Sequence[Action], facts: HostFacts | None) -> Action:
    """The action with the containers of today, by which it has to be undone."""
    if facts is None:
        return action
    if isinstance(action, ConnectNetwork):
        known = {member.container for member in action.members}
        more = tuple(member for member in _followers(action, planned, facts) if member.container not in known)
        return action.model_copy(update={"members": (*action.members, *more)}) if more else action
    if isinstance(action, RewireHaproxy) and action.container is not None:
        return _on_container_of_today(action, facts)
    return action


def _followers(action: ConnectNetwork, planned: Sequence[Action], facts: HostFacts) -> Iterator[NetworkMember]:
    overrides = [other for other in planned if isinstance(other, WriteComposeOverride)]
    for container in facts.containers:
        is_on = any(endpoint.network_name == action.network for endpoint in container.endpoints)
        if is_on and any(_is_of(container, override) for override in overrides):
            yield NetworkMember(container=container.name, container_id=container.id)


def _on_container_of_today(action: RewireHaproxy, facts: HostFacts) -> RewireHaproxy:
    ids = {container.name: container.id for container in facts.containers}
    found = ids.get(action.container or "", action.container_id)
    return action if found == action.container_id else action.model_copy(update={"container_id": found})


def _is_of(container: Container, override: WriteComposeOverride) -> bool:
    labels = container.labels
    return labels.get(PROJECT_LABEL) == override.project and labels.get(SERVICE_LABEL) in override.services
