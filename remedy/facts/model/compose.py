"""Compose projects, by their containers' labels."""

from __future__ import annotations

from remedy.frozen import FrozenWhenUsed as Frozen


class FileState(Frozen):
    """A file as it lies there; raw None: there is none. problem: why it must not be written over."""

    path: str
    raw: bytes | None = None
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    problem: str | None = None


class ComposeProject(Frozen):
    """A compose project by its containers' labels, and the file in which remedy may add to it.

    files: those that compose was started with. is_read_by_compose: an override file in that place is read without
    being told. uid, gid, mode: of the project's first file. problem: why nothing can be written there.
    default_network: the name that the files give the project's default network, where they give it one.
    """

    name: str
    working_directory: str
    files: tuple[str, ...]
    compose_installed: bool
    override: FileState | None = None
    is_read_by_compose: bool = False
    default_network: str | None = None
    uid: int = 0
    gid: int = 0
    mode: int = 0o644
    problem: str | None = None
