"""What became of containers while a run was at work: whoever reads that it failed wants to know who else was busy."""

from __future__ import annotations

from collections.abc import Iterator

from remedy.facts.model import Container, HostFacts


def container_changes(before: HostFacts, after: HostFacts) -> tuple[str, ...]:
    """A line for each container that somebody stopped, started, made or removed between the two looks."""
    return tuple(_changes({c.name: c for c in before.containers}, {c.name: c for c in after.containers}))


def _changes(old: dict[str, Container], new: dict[str, Container]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield f"{name} was removed"
        elif name not in old:
            yield f"{name} was made"
        elif new[name].id != old[name].id:
            yield f"{name} was made again"
        elif old[name].is_running and not new[name].is_running:
            yield f"{name} was stopped"
        elif new[name].started_at != old[name].started_at:
            yield f"{name} was started" + (" again" if old[name].is_running else "")
