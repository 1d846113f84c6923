"""Where the compose projects of this host say that their files lie, and what lies there. Read only, and not followed.

The labels were written by whoever started the project, perhaps on another machine: a path in them is a hint.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from remedy.facts.model import ComposeProject, Container, FileState
from remedy.facts.unread import reason_of

PROJECT_LABEL = "com.docker.compose.project"
DIRECTORY_LABEL = "com.docker.compose.project.working_dir"
FILES_LABEL = "com.docker.compose.project.config_files"
# What compose reads by itself (compose-go, DefaultFileNames and DefaultOverrideFileNames).
DEFAULT_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDE_NAMES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
OWN_NAME = "compose.override.yaml"
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
    files = tuple(part for part in container.labels.get(FILES_LABEL, "").split(",") if part)
    project = ComposeProject(name=name, working_directory=directory, files=files, compose_installed=installed)
    problem = _problem_with(directory, files)
    if problem is not None:
        return project.model_copy(update={"problem": problem})
    reads_itself = _reads_by_itself(directory, files)
    path = str(PurePosixPath(directory, OWN_NAME if reads_itself else OWN_NAME_ELSEWHERE))
    state = read_state(path)
    if state.raw is not None and not state.raw.startswith(MARK):
        return project.model_copy(update={"problem": f"{path} is there already, and not remedy's"})
    changes = {"override": state, "is_read_by_compose": reads_itself, "problem": state.problem}
    first = os.lstat(files[0])
    return project.model_copy(
        update={**changes, "uid": first.st_uid, "gid": first.st_gid, "mode": first.st_mode & 0o666}
    )


def _problem_with(directory: str, files: Sequence[str]) -> str | None:
    """Why nothing can be written beside these files; None when it can."""
    if not directory or not files:
        return "its containers do not say where its files are"
    for path in (directory, *files):
        if not path.startswith("/") or not path.isprintable() or ".." in PurePosixPath(path).parts:
            return f"{path!r} is no plain absolute path"
    try:
        status = os.lstat(directory)
        if not stat.S_ISDIR(status.st_mode):
            return f"{directory} is no directory"
        if status.st_mode & stat.S_IWOTH:
            return f"anybody may write to {directory}"
        for path in files:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                return f"{path} is no regular file"
    except OSError as error:
        return reason_of(error)
    return None


def _reads_by_itself(directory: str, files: Sequence[str]) -> bool:
    """Whether compose, started in that directory, reads an override file of remedy's without being told."""
    names = [str(PurePosixPath(path).name) for path in files if str(PurePosixPath(path).parent) == directory]
    main = [name for name in names if name in DEFAULT_NAMES]
    if len(names) != len(files) or len(main) != 1 or any(name not in (*main, OWN_NAME) for name in names):
        return False
    # compose takes the first override file that it finds, and one alone.
    return not any(_is_foreign(PurePosixPath(directory, name)) for name in OVERRIDE_NAMES)


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
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        return known.model_copy(update={"raw": file.read(MAXIMUM_BYTES)})
