"""Makes the remedy that calls available inside a host, at the same paths: `lab exec NAME -- remedy plan`.

Bound read-only: the interpreter's prefix, the virtual environment, the package's source. The host's own Python is
another version as a rule, so an interpreter from /usr is bound as a relocated copy (see `relocated_python`).
Shared libraries that the interpreter needs and the host's root file system lacks are copied into the host.
The machine's glibc must not be newer than the host's: then remedy does not start inside.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import remedy
from remedy.host.commands import run_command
from remedy.lab.inner_paths import UpperLayer
from remedy.lab.relocation import is_systems_own, package_places, relocated_python, venv_overlay

_LIBRARY_DIRECTORIES = ("/lib", "/usr/lib", "/lib64", "/usr/lib64")


@dataclass(frozen=True, slots=True)
class BindMount:
    """One line of a host's mounts file. stack: `source` is lower directories, separated by colons."""

    kind: Literal["directory", "file", "stack"]
    source: str
    target: str

    def line(self) -> str:
        """As init/boot.sh reads it."""
        return f"{self.kind}\t{self.source}\t{self.target}\n"


def install_remedy(upper: UpperLayer, cache: Path) -> list[BindMount]:
    """Write the wrapper and missing libraries into the host's upper layer; the mounts that boot has to make."""
    for name, path in _needed_libraries(cache).items():
        if not any(upper.exists(f"{directory}/{name}") for directory in _library_directories(path)):
            upper.write(f"/usr/local/lib/remedy-lab/{name}", path.read_bytes(), 0o755)
            upper.link(f"{path.parent}/{name}", f"/usr/local/lib/remedy-lab/{name}")
    mounts = list(dict.fromkeys(_mounts(cache)))
    upper.write("/usr/local/bin/remedy", _wrapper(inner_python(cache)), 0o755)
    return mounts


def _mounts(cache: Path) -> Iterator[BindMount]:
    prefix, base = Path(sys.prefix), Path(sys.base_prefix)
    package = Path(remedy.__file__).resolve().parent
    if is_systems_own(base):
        copy = relocated_python(cache)
        yield BindMount("directory", str(copy), str(copy))
        if prefix != base:
            yield BindMount("stack", f"{venv_overlay(cache, copy)}:{prefix}", str(prefix))
        else:
            for place, packages in package_places(copy).items():
                yield BindMount("directory", str(packages), str(place))
    else:
        yield BindMount("directory", str(base), str(base))
        if prefix != base:
            yield BindMount("directory", str(prefix), str(prefix))
    if not package.is_relative_to(prefix) and not package.is_relative_to(base):
        yield BindMount("directory", str(package), str(package))


def inner_python(cache: Path) -> Path:
    """The interpreter to run remedy with inside a host."""
    if is_systems_own(Path(sys.base_prefix)) and sys.prefix == sys.base_prefix:
        return relocated_python(cache) / "bin/python3"
    return Path(sys.executable)


def _wrapper(python: Path) -> str:
    return f'#!/bin/sh\nexec {shlex.quote(str(python))} -m remedy "$@"\n'


def _library_directories(path: Path) -> tuple[str, ...]:
    return (*_LIBRARY_DIRECTORIES, str(path.parent))


def _needed_libraries(cache: Path) -> dict[str, Path]:
    """Name -> path of every shared library of the machine that the interpreter and its packages load.

    `ldd` over some two hundred files takes a third of a second, so the answer is kept in the cache.
    """
    # A package that comes or goes changes the time of the directory that it is in.
    places = [Path(sys.executable).resolve(), _dynload(), Path(sysconfig.get_path("platlib"))]
    described = "\n".join(f"{path} {path.stat().st_mtime_ns}" for path in places)
    kept = cache / "libraries" / f"{hashlib.sha256(described.encode()).hexdigest()[:16]}.json"
    if kept.is_file():
        return {name: Path(path) for name, path in json.loads(kept.read_text()).items()}
    found = _ask_ldd(sorted(_binaries()))
    kept.parent.mkdir(parents=True, exist_ok=True)
    draft = kept.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps({name: str(path) for name, path in found.items()}))
    draft.replace(kept)
    return found


def _binaries() -> Iterator[Path]:
    yield Path(sys.executable).resolve()
    yield from _dynload().glob("*.so")
    yield from Path(sysconfig.get_path("platlib")).rglob("*.so")


def _dynload() -> Path:
    return Path(sysconfig.get_path("platstdlib", vars={"platbase": sys.base_exec_prefix})) / "lib-dynload"


def _ask_ldd(binaries: list[Path]) -> dict[str, Path]:
    answer = run_command(["ldd", *map(str, binaries)], check=False, timeout=60).stdout
    found = {}
    for line in answer.splitlines():
        name, arrow, rest = line.strip().partition(" => ")
        path = rest.split(" (")[0]
        # Libraries inside the bound prefixes are there anyway; names with a slash are paths, not searched for.
        if arrow and path.startswith(_LIBRARY_DIRECTORIES) and "/" not in name:
            found[name] = Path(path)
    return found
