"""Builds something once: under a lock, in a directory of its own, renamed when it is whole.

Whoever is killed while building leaves a directory under building/ and perhaps processes in the build's cgroup.
The next one who gets the lock (a builder, or `remedy lab prune`) ends and deletes them.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from remedy.lab.cgroups import make_cgroup, remove_cgroup
from remedy.lab.layout import Layout, tag_of, unified_hierarchy
from remedy.lab.locks import locked, try_lock

Say = Callable[[str], None]
"""Takes one line of progress, for a person."""

_HEARTBEAT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where one build works: `directory` is wiped afterwards, what runs in `cgroup` is killed afterwards."""

    directory: Path
    cgroup: Path


def build_once(cache: Path, kind: str, key: str, make: Callable[[Workplace], Path], say: Say) -> Path:
    """The finished thing at CACHE/kind/key: found there, or made by `make`, which returns what to put there.

    Several processes may ask at the same time: one builds, the others wait and are told so by `say`.
    """
    finished = cache / kind / key
    if finished.exists():
        return finished
    lock = _building(cache) / f"{kind}-{key}"
    try:
        with locked(lock, create=True, on_wait=_told(say, f"another process builds {kind}/{key}")):
            try:
                if not finished.exists():
                    _build(Workplace(lock / "work", _cgroup(cache, lock.name)), make, finished)
            finally:
                lock.rmdir()
    finally:
        _remove_if_empty(_building(cache), _cgroup(cache, "").parent)
    return finished


def _build(workplace: Workplace, make: Callable[[Workplace], Path], finished: Path) -> None:
    _clean(workplace)
    workplace.directory.mkdir()
    make_cgroup(workplace.cgroup)
    try:
        made = make(workplace)
        finished.parent.mkdir(parents=True, exist_ok=True)
        made.rename(finished)
    finally:
        _clean(workplace)


def clean_builds(cache: Path) -> list[str]:
    """End and delete the builds that nobody works at any more; their names."""
    cleaned = []
    for lock in sorted(_building(cache).glob("*")):
        with _lock_if_free(lock) as is_ours:
            if is_ours:
                _clean(Workplace(lock / "work", _cgroup(cache, lock.name)))
                lock.rmdir()
                cleaned.append(lock.name)
    _remove_if_empty(_building(cache), _cgroup(cache, "").parent)
    return cleaned


@contextmanager
def heartbeat(say: Say, text: str, detail: Callable[[], str] = lambda: "") -> Iterator[None]:
    """While something takes its time, say every few seconds that it goes on, for how long, and at what."""
    began = time.monotonic()
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(_HEARTBEAT_SECONDS):
            say(f"{text}: {time.monotonic() - began:.0f} s {detail()}".rstrip())

    say(f"{text} ...")
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def workplace_lab(workplace: Workplace, cache: Path) -> Layout:
    """A lab that lives and dies with a build."""
    return Layout(workplace.directory / "lab", cache, workplace.cgroup / "lab")


def _told(say: Say, text: str) -> Callable[[float], None]:
    """Turns many small waits into a line every few seconds."""
    next_at = 0.0

    def on_wait(seconds: float) -> None:
        nonlocal next_at
        if seconds >= next_at:
            say(f"waiting, {text}: {seconds:.0f} s")
            next_at = seconds + _HEARTBEAT_SECONDS

    return on_wait


@contextmanager
def _lock_if_free(directory: Path) -> Iterator[bool]:
    import os

    try:
        descriptor = try_lock(directory)
    except FileNotFoundError:
        descriptor = None
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _building(cache: Path) -> Path:
    return cache / "building"


def _cgroup(cache: Path, name: str) -> Path:
    return unified_hierarchy() / f"remedy-lab-build-{tag_of(cache)}" / (name or "_")


def _clean(workplace: Workplace) -> None:
    remove_cgroup(workplace.cgroup)
    if workplace.directory.exists():
        shutil.rmtree(workplace.directory)


def _remove_if_empty(*directories: Path) -> None:
    from contextlib import suppress

    for directory in directories:
        with suppress(OSError):
            directory.rmdir()
