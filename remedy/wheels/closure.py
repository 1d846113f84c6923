"""Which locked packages remedy needs at run time, as lines of the lock file with their hashes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==")

RequirementsOf = Callable[[str], Iterable[str]]


def locked(text: str) -> dict[str, str]:
    """Return each package of a lock file with its lines: the version and the hashes."""
    entries: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        pin = _PIN.match(line)
        if pin:
            current = entries.setdefault(canonicalize_name(pin["name"]), [])
        if pin or line.startswith("    --hash="):
            current.append(line)
    return {name: "\n".join(lines) for name, lines in entries.items()}


def needed(distribution: str, requirements_of: RequirementsOf, *, python: str) -> tuple[str, ...]:
    """Return the names of all packages that a distribution needs under this Python, without its extras.

    requirements_of: what a package asks for, in the words of its metadata.
    """
    environment = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux", "extra": ""}
    found: set[str] = set()
    waiting = [distribution]
    while waiting:
        for text in requirements_of(waiting.pop()):
            requirement = Requirement(text)
            name = canonicalize_name(requirement.name)
            wanted = requirement.marker is None or requirement.marker.evaluate(environment)
            if wanted and name not in found:
                found.add(name)
                waiting.append(name)
    return tuple(sorted(found))
