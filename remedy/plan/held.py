"""What may be done without asking: bring back what applied runs have put on the host, for the containers of now.

Rules that are pinned to addresses, what they rest on (hairpin mode, route_localnet), and the runs' containers on the
runs' networks. Nothing here restarts, reloads or cuts anything, and nothing is put there that no run has put there.
Pure, and without a walk of packets: the runs' own plans have shown who is reached how.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from remedy.facts.model import Container, HostFacts
from remedy.firewall.ruleset import Ruleset, RulesetName
from remedy.paths.published import container_by_address, published_ports
from remedy.plan.hairpin import hairpin_actions, wanted_hairpin
from remedy.plan.model import Action, ConnectNetwork, NetworkMember, RemoveRules, WriteRules
from remedy.plan.selection import PROJECT_LABEL, SERVICE_LABEL, Selected, only_present, select
from remedy.spec.models import Spec

NetworkActions = Sequence[ConnectNetwork]
_NEEDED = ("firewall", "network")


@dataclass(frozen=True, slots=True)
class Held:
    """actions: what has to be done; rulesets: what stands of our rules then, an empty one where none do."""

    actions: tuple[Action, ...]
    rulesets: tuple[Ruleset, ...]


def held(spec: Spec, facts: HostFacts, applied: Sequence[Action]) -> Held:
    """What has to be done so that the host is as the applied runs left it, with today's containers.

    applied: the actions of all applied runs, the oldest first. What `spec` is silent about stays as it is, except that
    a rule whose container does not have its address any more goes. Raises SpecError (a port that belongs to two
    backends), RefusedError (a bridge that no rule can name).
    """
    wanted, selected = _resolved(spec, facts)
    rulesets = tuple(_rulesets(wanted, facts, selected, applied))
    rules = [action for ruleset in rulesets for action in hairpin_actions(facts, ruleset)]
    return Held((*_networks(facts, selected, applied), *rules), rulesets)


def held_rulesets(spec: Spec, facts: HostFacts, applied: Sequence[Action]) -> tuple[Ruleset, ...]:
    """The rulesets alone, by the containers and networks of `facts`: the rules in it may be old. Raises as `held`."""
    wanted, selected = _resolved(spec, facts)
    return tuple(_rulesets(wanted, facts, selected, applied))


def _resolved(spec: Spec, facts: HostFacts) -> tuple[Spec, Selected]:
    """The spec of whom there is, without what only a run may do."""
    wanted = only_present(spec, facts)
    wanted = wanted.model_copy(update={"remedies": wanted.remedies.model_copy(update={"userland_proxy": None})})
    return wanted, select(wanted, facts, published_ports(facts))


def _rulesets(spec: Spec, facts: HostFacts, selected: Selected, applied: Sequence[Action]) -> Iterator[Ruleset]:
    """What has to stand of each ruleset that a run has written; empty where none of its rules do."""
    hairpin = _hairpin(spec, facts, selected, applied)
    if hairpin is not None:
        yield hairpin


def unread_for_holding(facts: HostFacts) -> tuple[str, ...]:
    """What could not be read and may not be guessed. Not containers: those that come and go never can all be."""
    return tuple(f"{unread.item}: {unread.reason}" for unread in facts.unread if unread.item.startswith(_NEEDED))


def without_gone(ruleset: Ruleset, facts: HostFacts) -> Ruleset:
    """The ruleset without the redirects whose container does not have the address any more."""
    owners = {address: container.name for address, container in container_by_address(facts).items()}
    kept = tuple(redirect for redirect in ruleset.redirects if owners.get(redirect.to_address) == redirect.container)
    return with_redirects(ruleset, kept)


def without_containers(ruleset: Ruleset, names: frozenset[str]) -> Ruleset:
    """The ruleset without what is pinned to the addresses of these containers."""
    return with_redirects(ruleset, tuple(r for r in ruleset.redirects if r.container not in names))


def with_redirects(ruleset: Ruleset, redirects: tuple[object, ...]) -> Ruleset:
    """The same object where these are all of them."""
    if len(redirects) == len(ruleset.redirects):
        return ruleset
    return ruleset.model_copy(update={"redirects": redirects} if redirects else {"redirects": (), "guard_localnet": ()})


def held_ruleset(applied: Sequence[Action], name: RulesetName) -> Ruleset | None:
    """The ruleset of that name as the newest run wrote it; None when no run has, or a newer one took it away."""
    found = None
    for action in applied:
        if isinstance(action, WriteRules) and action.ruleset.name == name:
            found = action.ruleset
        elif isinstance(action, RemoveRules) and action.ruleset.name == name:
            found = None
    return found


def pinned_to(ruleset: Ruleset) -> tuple[str, ...]:
    """Each address that the ruleset is pinned to, and whose it is, for people."""
    return tuple(f"{r.port} -> {r.container} {r.to_address}:{r.to_port}" for r in ruleset.redirects)


def _hairpin(spec: Spec, facts: HostFacts, selected: Selected, applied: Sequence[Action]) -> Ruleset | None:
    """The rules to have; None where no run has written any."""
    written = held_ruleset(applied, "hairpin")
    if written is None:
        return None
    wanted = wanted_hairpin(spec, facts, selected, None)
    return without_gone(written, facts) if wanted is None else wanted


def _networks(facts: HostFacts, selected: Selected, applied: Sequence[Action]) -> Iterator[ConnectNetwork]:
    found: dict[str, list[ConnectNetwork]] = {}
    for action in applied:
        if isinstance(action, ConnectNetwork):
            found.setdefault(action.network, []).append(action)
    for network, actions in found.items():
        joining = tuple(_joining(facts, selected, network, actions))
        if joining:
            yield _connect(actions[-1], joining)


def _joining(facts: HostFacts, selected: Selected, network: str, actions: NetworkActions) -> Iterator[NetworkMember]:
    """Members by name, and more containers of their services that the spec names as backends."""
    if all(known.name != network for known in facts.networks):
        return
    by_name = {member.container: member for action in actions for member in action.members}
    by_service = {
        service: by_name[container.name]
        for container in facts.containers
        if container.name in by_name and (service := _service(container)) is not None
    }
    backends = {backend.container.id for backend in selected.backends}
    for container in facts.containers:
        if not container.is_running or any(e.network_name == network for e in container.endpoints):
            continue
        member = by_name.get(container.name)
        if member is not None:
            yield member.model_copy(update={"container_id": container.id})
        elif container.id in backends and (service := _service(container)) in by_service:
            aliases = by_service[service].aliases
            yield NetworkMember(container=container.name, container_id=container.id, aliases=aliases)


def _service(container: Container) -> tuple[str, str] | None:
    project, service = container.labels.get(PROJECT_LABEL), container.labels.get(SERVICE_LABEL)
    return (project, service) if project and service else None


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
