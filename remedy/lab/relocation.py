"""The machine's own Python (/usr/bin/python3) made to run from another place.

A lab host has its own /usr, with another Python in it. Python finds its library beside its executable, so a copy
of the executable and the standard library runs from anywhere, and a virtual environment that is based on /usr
works inside a host when its `home` names the copy: an overlay puts that over the environment's own files.
"""

from __future__ import annotations

import hashlib
import shutil
import site
import sys
import sysconfig
from pathlib import Path

import remedy
from remedy.lab.builds import Workplace, build_once

_SYSTEM_PREFIXES = (Path("/usr"), Path("/usr/local"))
_NOT_COPIED = ("__pycache__", "test", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3")


def is_systems_own(base_prefix: Path) -> bool:
    """Whether the interpreter lives in directories that a lab host has itself."""
    return base_prefix in _SYSTEM_PREFIXES


def relocated_python(cache: Path) -> Path:
    """The prefix of a copy of the running base interpreter, made when it is not there yet."""
    executable = _base_executable()
    version = f"python{sysconfig.get_python_version()}"
    described = f"{executable} {executable.stat().st_mtime_ns} {_package_directories()}"
    key = f"{version}-{hashlib.sha256(described.encode()).hexdigest()[:10]}"
    finished = cache / "python" / key

    def make(workplace: Workplace) -> Path:
        prefix = workplace.directory / "python"
        (prefix / "bin").mkdir(parents=True)
        shutil.copy2(executable, prefix / "bin" / version)
        (prefix / "bin/python3").symlink_to(version)
        library = prefix / "lib" / version
        shutil.copytree(_stdlib(), library, ignore=shutil.ignore_patterns(*_NOT_COPIED))
        _name_packages(prefix, library, finished)
        return prefix

    return build_once(cache, "python", key, make, lambda _: None)


def package_places(python: Path) -> dict[Path, Path]:
    """Mount point -> directory of packages, for a remedy that is installed beside the machine's own Python."""
    return {python / "packages" / str(number): path for number, path in enumerate(_package_directories())}


def _package_directories() -> list[Path]:
    """Where remedy and what it needs are, when it is installed without a virtual environment."""
    if sys.prefix != sys.base_prefix:
        return []
    return [Path(entry) for entry in (*site.getsitepackages(), site.getusersitepackages()) if Path(entry).is_dir()]


def _name_packages(prefix: Path, library: Path, finished: Path) -> None:
    places = package_places(finished)
    for place in places:
        (prefix / place.relative_to(finished)).mkdir(parents=True)
    paths = [*places, Path(remedy.__file__).resolve().parent.parent]
    # Debian's Python looks into dist-packages, any other into site-packages.
    for name in ("dist-packages", "site-packages"):
        (library / name).mkdir(exist_ok=True)
        (library / name / "remedy-lab.pth").write_text("".join(f"{path}\n" for path in paths))


def venv_overlay(cache: Path, python: Path) -> Path:
    """A directory to lay over the running virtual environment: its python is the relocated one."""
    venv = Path(sys.prefix)
    key = hashlib.sha256(f"{venv} {python}".encode()).hexdigest()[:10]

    def make(workplace: Workplace) -> Path:
        layer = workplace.directory / "venv"
        (layer / "bin").mkdir(parents=True)
        lines = (venv / "pyvenv.cfg").read_text().splitlines()
        kept = [line for line in lines if line.partition("=")[0].strip() not in ("home", "executable", "command")]
        (layer / "pyvenv.cfg").write_text("\n".join([f"home = {python / 'bin'}", *kept]) + "\n")
        (layer / "bin" / _first_link(venv)).symlink_to(python / "bin/python3")
        return layer

    return build_once(cache, "python", f"venv-{key}", make, lambda _: None)


def _first_link(venv: Path) -> str:
    """The one of bin/python, python3, python3.N that leads out of the environment; the others lead to it."""
    for path in sorted((venv / "bin").glob("python*")):
        if path.is_symlink() and path.readlink().is_absolute():
            return path.name
    return "python3"


def _base_executable() -> Path:
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def _stdlib() -> Path:
    return Path(sysconfig.get_path("stdlib"))
