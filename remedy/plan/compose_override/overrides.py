"""The override files of a plan, and the warnings about whatever they cannot keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from remedy.facts.model import ComposeProject, Container, FileState, HostFacts
from remedy.plan.actions import Action, FileContent, WriteComposeOverride
from remedy.plan.compose_override import told
from remedy.plan.compose_override.stays import Services, Stays, Wanted, by_project, compose_project, stays_of
from remedy.plan.compose_override.text import override_text
from remedy.plan.model import PlanWarning
from remedy.plan.selection import SERVICE_LABEL

Planned = tuple[tuple[Action, ...], tuple[PlanWarning, ...]]


def plan_overrides(
    facts: HostFacts,
    network_name: str,
    members: Sequence[Container],
    aliases: Mapping[tuple[str, str], str],
    names: Mapping[str, str] | None = None,
) -> Planned:
    """The override files and warnings for containers that are to stay on the network.

    aliases: (project, service) -> what all its containers are called there. names: container id -> the name under
    which haproxy finds it there, where that is not its own.
    """
    wanted = Wanted(network_name, aliases, names or {})
    actions: list[Action] = []
    warnings: list[PlanWarning] = []
    for project, services in by_project(members).items():
        made, said = _for_project(facts, project, services, wanted)
        actions += made
        warnings += said
    plain = [m for m in members if SERVICE_LABEL not in m.labels and _joins(network_name, m)]
    warnings += told.about_plain(network_name, plain, dict(wanted.names))
    return tuple(actions), tuple(warnings)


def _joins(network_name: str, container: Container) -> bool:
    return all(endpoint.network_name != network_name for endpoint in container.endpoints)


def _for_project(facts: HostFacts, project: str, services: Services, wanted: Wanted) -> Planned:
    stays = stays_of(facts, project, services, wanted)
    warnings = [*told.without_networks(project, wanted.network, stays)]
    if not stays.stays:
        return (), tuple(warnings)
    content = override_text(stays.network, stays.stays)
    known = compose_project(facts, project)
    if known is None or known.problem is not None or known.override is None:
        why = None if known is None else known.problem
        return (), (*warnings, told.snippet(project, content, why or "nobody knows where they are"))
    path = known.override.path
    if not known.is_read_by_compose:
        warnings.append(told.include(known, path))
    warnings += told.leaves_bridge(facts, project, services, stays, path)
    if known.override.raw == content:
        return (), tuple(warnings)
    names = tuple(stay.service for stay in stays.stays)
    return (_action(known, known.override, stays, content),), (*warnings, told.recreates(known, names))


def _action(project: ComposeProject, present: FileState, stays: Stays, content: bytes) -> WriteComposeOverride:
    made = present.raw is None
    original = FileContent(path=present.path, raw=present.raw, mode=present.mode, uid=present.uid, gid=present.gid)
    owner = {"mode": project.mode, "uid": project.uid, "gid": project.gid} if made else {}
    services = tuple(stay.service for stay in stays.stays)
    return WriteComposeOverride(
        id=f"compose_override:{project.name}",
        summary=f"{'write' if made else 'update'} {PurePosixPath(present.path).name} for the compose project "
        f"{project.name}",
        reason="what compose does not know of, it leaves out when it makes a container again",
        before="no such file" if made else "remedy's file of earlier, as it is now",
        after=f"{', '.join(services)} on the network, whoever starts them",
        inverse="remove the file" if made else "the file as it was before",
        path=present.path,
        project=project.name,
        services=services,
        network=stays.network.name,
        content=original.model_copy(update={"raw": content, **owner}),
        original=original,
        compose_files=tuple(path for path in project.files if path != present.path),
        working_directory=project.working_directory,
    )
