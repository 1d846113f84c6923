"""What the spec's names mean on this host: containers, backends, the load balancer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from remedy.errors import SpecError
from remedy.facts.model import Container, HostFacts, Protocol
from remedy.paths.consumers import EXTERNAL, HOST
from remedy.paths.published import PublishedPort
from remedy.spec.models import Backend, ServiceRef, Spec, UnitRef

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"


@dataclass(frozen=True, slots=True)
class BackendContainer:
    """A container of the spec's backends and the port that it serves, published or not."""

    container: Container
    port: int
    protocol: Protocol


@dataclass(frozen=True, slots=True)
class Selected:
    """The spec resolved: load_balancer None when there is none or it is a unit of the host."""

    load_balancer: Container | None
    load_balancer_unit: str | None
    backends: tuple[BackendContainer, ...]
    backend_ports: tuple[PublishedPort, ...]


def select(spec: Spec, facts: HostFacts, ports: tuple[PublishedPort, ...]) -> Selected:
    """Resolve the spec's names. Raises SpecError for a name that matches nothing or a port named twice."""
    balancer, unit = _load_balancer(spec, facts)
    _check_probes(spec, facts)
    seen: dict[tuple[str, int, str], int] = {}
    backends: list[BackendContainer] = []
    chosen: list[PublishedPort] = []
    published: dict[tuple[str, int, str], list[PublishedPort]] = {}
    for port in ports:
        published.setdefault((port.container.id, port.to_port, port.protocol), []).append(port)
    for index, backend in enumerate(spec.backends):
        for container in _containers_of(backend, index, facts):
            key = (container.id, backend.port, backend.protocol)
            if key in seen:
                raise SpecError(
                    f"{container.name} port {backend.port}/{backend.protocol} belongs to two backends",
                    where=f"backends[{index}]",
                    why=f"backends[{seen[key]}] names it already",
                    next_step="remove it from one of the two",
                )
            seen[key] = index
            backends.append(BackendContainer(container, backend.port, backend.protocol))
            chosen += published.get(key, ())
    return Selected(balancer, unit, tuple(backends), tuple(chosen))


def _check_probes(spec: Spec, facts: HostFacts) -> None:
    # A misspelt probe would fail before and after alike, and nobody would miss what it was to watch.
    known = _names(facts)
    for index, probe in enumerate(spec.probes):
        if probe.from_ not in (HOST, EXTERNAL):
            _named(probe.from_, known, f"probes[{index}].from", facts)


def _load_balancer(spec: Spec, facts: HostFacts) -> tuple[Container | None, str | None]:
    wanted = spec.load_balancer
    if wanted is None:
        return None, None
    if isinstance(wanted, UnitRef):
        return None, wanted.unit
    if isinstance(wanted, ServiceRef):
        matching = _of_service(wanted.project, wanted.service, facts)
        if not matching:
            raise _nothing(f"service {wanted.service} of project {wanted.project}", "load_balancer", facts)
        return matching[0], None
    return _named(wanted, _names(facts), "load_balancer", facts), None


def only_present(spec: Spec, facts: HostFacts) -> Spec:
    """The spec without what names no container of this host now: for who follows containers that come and go."""
    backends = (_only_present(backend, facts) for backend in spec.backends)
    return spec.model_copy(
        update={
            "load_balancer": spec.load_balancer if _has_load_balancer(spec, facts) else None,
            "backends": tuple(backend for backend in backends if backend is not None),
            "probes": (),
        }
    )


def _has_load_balancer(spec: Spec, facts: HostFacts) -> bool:
    try:
        return _load_balancer(spec, facts) != (None, None)
    except SpecError:
        return False


def _only_present(backend: Backend, facts: HostFacts) -> Backend | None:
    if backend.containers is None:
        return backend if _matching(backend, facts) else None
    known = _names(facts)
    present = tuple(name for name in backend.containers if name in known)
    return backend.model_copy(update={"containers": present}) if present else None


def _matching(backend: Backend, facts: HostFacts) -> tuple[Container, ...]:
    """The containers of a backend that is given by service or label."""
    if backend.project is not None and backend.service is not None:
        return _of_service(backend.project, backend.service, facts)
    key, separator, value = (backend.label or "").partition("=")
    return tuple(c for c in facts.containers if key in c.labels and (not separator or c.labels[key] == value))


def _containers_of(backend: Backend, index: int, facts: HostFacts) -> tuple[Container, ...]:
    where = f"backends[{index}]"
    if backend.containers is not None:
        known = _names(facts)
        return tuple(
            _named(name, known, f"{where}.containers[{number}]", facts)
            for number, name in enumerate(backend.containers)
        )
    found = _matching(backend, facts)
    if backend.project is not None and backend.service is not None:
        described = f"service {backend.service} of project {backend.project}"
        where += ".service"
    else:
        where += ".label"
        described = f"label {backend.label}"
    if not found:
        raise _nothing(described, where, facts)
    return found


def _of_service(project: str, service: str, facts: HostFacts) -> tuple[Container, ...]:
    return tuple(
        c for c in facts.containers if c.labels.get(PROJECT_LABEL) == project and c.labels.get(SERVICE_LABEL) == service
    )


def _names(facts: HostFacts) -> dict[str, Container]:
    return {container.name: container for container in facts.containers}


def _named(name: str, known: Mapping[str, Container], where: str, facts: HostFacts) -> Container:
    if name not in known:
        raise _nothing(f"{name!r}", where, facts, name)
    return known[name]


def _nothing(described: str, where: str, facts: HostFacts, name: str | None = None) -> SpecError:
    import difflib  # not in a watcher's memory, for a mistake that few make

    names = [container.name for container in facts.containers]
    nearest = difflib.get_close_matches(name or "", names, n=1)
    return SpecError(
        f"no container on this host is {described}",
        where=where,
        why=f"the nearest name is {nearest[0]!r}" if nearest else f"the host has {len(names)} containers",
        next_step="correct remedy.yaml; `docker ps -a` lists the containers",
    )
