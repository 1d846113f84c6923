"""Where the compose projects of this host say that their files lie, and what lies there. Read only, and not followed.

The labels were written by whoever started the project, perhaps on another machine: a path in them is a hint.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from remedy.errors import InputError
from remedy.facts.compose_networks import default_network_of
from remedy.facts.model import ComposeProject, Container, FileState
from remedy.facts.unread import reason_of
from remedy.host.directories import open_directory

PROJECT_LABEL = "com.docker.compose.project"
DIRECTORY_LABEL = "com.docker.compose.project.working_dir"
FILES_LABEL = "com.docker.compose.project.config_files"
# What compose reads by itself, the first that is there (compose-go, DefaultFileNames and DefaultOverrideFileNames).
DEFAULT_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDE_NAMES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
# The override of each, under the name that goes with it.
OWN_NAMES = {
    "compose.yaml": "compose.override.yaml",
    "compose.yml": "compose.override.yml",
    "docker-compose.yml": "docker-compose.override.yml",
    "docker-compose.yaml": "docker-compose.override.yaml",
}
OWN_NAME_ELSEWHERE = "compose.remedy.yaml"  # where compose does not look by itself
MARK = b"# Written by remedy."
MAXIMUM_BYTES = 1 << 20
MAXIMUM_PROJECTS = 256
# Docker's own places for plugins of its command line (docker/cli, cli-plugins/manager).
PLUGINS = tuple(
    Path(directory, "docker-compose")
    for directory in (
        "/usr/local/lib/docker/cli-plugins",
        "/usr/local/libexec/docker/cli-plugins",
        "/usr/lib/docker/cli-plugins",
        "/usr/libexec/docker/cli-plugins",
        "/root/.docker/cli-plugins",
    )
)


def read_compose_projects(containers: Sequence[Container]) -> tuple[ComposeProject, ...]:
    """Each project that a container claims to be of, once; the labels of its first container count."""
    found: dict[str, Container] = {}
    for container in containers:
        name = container.labels.get(PROJECT_LABEL)
        if name and len(found) < MAXIMUM_PROJECTS:
            found.setdefault(name, container)
    installed = any(plugin.is_file() for plugin in PLUGINS)
    return tuple(_read(name, container, installed) for name, container in sorted(found.items()))


def _read(name: str, container: Container, installed: bool) -> ComposeProject:
    directory = container.labels.get(DIRECTORY_LABEL, "")
    listed = [part for part in container.labels.get(FILES_LABEL, "").split(",") if part]
    files = tuple(path for path in listed if not _was_remedys(path))
    project = ComposeProject(name=name, working_directory=directory, files=files, compose_installed=installed)
    problem = _problem_with(directory, files)
    if problem is not None:
        return project.model_copy(update={"problem": problem})
    own_name = _read_by_itself(directory, files)
    path = str(PurePosixPath(directory, own_name or OWN_NAME_ELSEWHERE))
    state = read_state(path)
    if state.raw is not None and not state.raw.startswith(MARK):
        return project.model_copy(update={"problem": f"{path} is there already, and not remedy's"})
    first = os.lstat(files[0])
    return project.model_copy(
        update={
            "override": state,
            "is_read_by_compose": own_name is not None or path in files,
            "problem": state.problem or _problem_with_owner(directory, first.st_uid),
            "default_network": default_network_of([read_state(file).raw or b"" for file in files if file != path]),
            "uid": first.st_uid,
            "gid": first.st_gid,
            "mode": first.st_mode & 0o666,
        }
    )


def _was_remedys(path: str) -> bool:
    """A container keeps the name of the file that it was made with, also when a rollback has taken the file away."""
    name = PurePosixPath(path).name
    return name in (*OWN_NAMES.values(), OWN_NAME_ELSEWHERE) and path.startswith("/") and not os.path.lexists(path)


def _problem_with(directory: str, files: Sequence[str]) -> str | None:
    """Why nothing can be written beside these files; None when it can."""
    if not directory or not files:
        return "its containers do not say where its files are"
    for path in (directory, *files):
        if not path.startswith("/") or not path.isprintable() or ".." in PurePosixPath(path).parts:
            return f"{path!r} is no plain absolute path"
    try:
        for path in files:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                return f"{path} is no regular file"
    except OSError as error:
        return reason_of(error)
    return None


def _problem_with_owner(directory: str, owner: int) -> str | None:
    """Why nothing is written into the directory for the owner of the project's files; None when it can be."""
    try:
        with open_directory(directory, owner):
            return None
    except InputError as error:
        return error.why or error.what
    except OSError as error:
        return reason_of(error)


def _read_by_itself(directory: str, files: Sequence[str]) -> str | None:
    """Which override file of remedy's compose, started in that directory, reads without being told."""
    if any(str(PurePosixPath(path).parent) != str(PurePosixPath(directory)) for path in files):
        return None
    main = next((name for name in DEFAULT_NAMES if os.path.lexists(PurePosixPath(directory, name))), None)
    if main is None:
        return None
    own_name = OWN_NAMES[main]
    if {PurePosixPath(path).name for path in files} - {own_name} != {main}:
        return None
    # compose takes the first override file that it finds, and one alone.
    others = [PurePosixPath(directory, name) for name in OVERRIDE_NAMES if name != own_name]
    is_alone = not any(os.path.lexists(path) for path in others)
    return own_name if is_alone and not _is_foreign(PurePosixPath(directory, own_name)) else None


def _is_foreign(path: PurePosixPath) -> bool:
    state = read_state(str(path))
    return state.problem is not None or (state.raw is not None and not state.raw.startswith(MARK))


def read_state(path: str) -> FileState:
    """A file's bytes, mode and owner; raw None: there is none. problem: it is not one to be written over."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return FileState(path=path)
    except OSError as error:
        return FileState(path=path, problem=reason_of(error))
    known = FileState(path=path, mode=status.st_mode & 0o7777, uid=status.st_uid, gid=status.st_gid)
    problem = None
    if not stat.S_ISREG(status.st_mode):
        problem = f"{path} is no regular file"
    elif status.st_size > MAXIMUM_BYTES:
        problem = f"{path} is larger than {MAXIMUM_BYTES} bytes"
    if problem is not None:
        return known.model_copy(update={"problem": problem})
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return known.model_copy(update={"raw": file.read(MAXIMUM_BYTES)})
    except OSError as error:
        return known.model_copy(update={"problem": reason_of(error)})
