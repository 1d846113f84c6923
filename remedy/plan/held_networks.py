"""The networks that runs have made and joined, for the containers of now.

A network is known by its name, as its members ask for it. One that a run has made and that is gone (`docker system
prune` while nobody was on it) is made again; somebody else's of the same name is joined like one that was there before,
unless a plan would refuse to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from remedy.facts.model import HostFacts, Network
from remedy.plan.actions import Action, ConnectNetwork, CreateNetwork, NetworkMember
from remedy.plan.model import Refusal
from remedy.plan.selection import Selected
from remedy.plan.user_network.default_route import would_move
from remedy.plan.user_network.names import service_of
from remedy.plan.user_network.obstacles import default_route_moves, network_refusals


def held_networks(
    facts: HostFacts, selected: Selected, applied: Sequence[Action]
) -> tuple[tuple[CreateNetwork | ConnectNetwork, ...], tuple[Refusal, ...]]:
    """What has to be made and joined, and why a network is not."""
    joins: dict[str, list[ConnectNetwork]] = {}
    for action in applied:
        if isinstance(action, ConnectNetwork):
            joins.setdefault(action.network, []).append(action)
    actions: list[CreateNetwork | ConnectNetwork] = []
    refusals: list[Refusal] = []
    for name, planned in joins.items():
        joining = tuple(_joining(facts, selected, name, planned))
        present = next((network for network in facts.networks if network.name == name), None)
        made = _made(applied, name)
        if present is None and made is not None:
            actions.append(made)
        if not joining or (present is None and made is None):
            continue
        is_strange = present is not None and made is not None and not made.labels.items() <= present.labels.items()
        refused = tuple(_refusals(facts, present, joining)) if is_strange and present is not None else ()
        refusals += refused
        if not refused:
            actions.append(_connect(planned[-1], joining))
    return tuple(actions), tuple(refusals)


def _made(applied: Sequence[Action], name: str) -> CreateNetwork | None:
    """The making of a network, once more; None where no run has made it: whoever did makes it again, or not."""
    made = next((a for a in reversed(applied) if isinstance(a, CreateNetwork) and a.name == name), None)
    return made and made.model_copy(
        update={"summary": f"make the network {name} again", "before": f"no network {name} any more"}
    )


def _refusals(facts: HostFacts, network: Network, joining: Sequence[NetworkMember]) -> Iterator[Refusal]:
    """What a plan would say of a network that came in the place of the one that was planned with."""
    yield from network_refusals(network, facts.networks)
    networks = {each.id: each for each in facts.networks}
    ids = {member.container_id for member in joining}
    containers = [container for container in facts.containers if container.id in ids]
    moved = [c for c in containers if would_move(c, network, networks, facts.engine.version_tuple)]
    if moved:
        yield default_route_moves(network, moved)


def _joining(
    facts: HostFacts, selected: Selected, network: str, actions: Sequence[ConnectNetwork]
) -> Iterator[NetworkMember]:
    """Members by name, and more containers of their services that the spec names as backends."""
    by_name = {member.container: member for action in actions for member in action.members}
    by_service = {
        service: by_name[container.name]
        for container in facts.containers
        if container.name in by_name and (service := service_of(container)) is not None
    }
    backends = {backend.container.id for backend in selected.backends}
    for container in facts.containers:
        if not container.is_running or any(e.network_name == network for e in container.endpoints):
            continue
        member = by_name.get(container.name)
        if member is not None:
            yield member.model_copy(update={"container_id": container.id})
        elif container.id in backends and (service := service_of(container)) in by_service:
            aliases = by_service[service].aliases
            yield NetworkMember(container=container.name, container_id=container.id, aliases=aliases)


def _connect(planned: ConnectNetwork, members: tuple[NetworkMember, ...]) -> ConnectNetwork:
    names = ", ".join(member.container for member in members)
    return planned.model_copy(
        update={
            "summary": f"connect {names} to {planned.network}",
            "before": f"made again without {planned.network}",
            "after": f"on {planned.network}",
            "inverse": f"disconnect {names} from {planned.network}",
            "members": members,
        }
    )
