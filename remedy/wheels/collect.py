"""Downloads the wheels of one Python version, each with the hash of the lock file."""

from __future__ import annotations

import sys
from importlib.metadata import requires
from pathlib import Path

from remedy.errors import RemedyError
from remedy.host.commands import run_command
from remedy.wheels.closure import locked, needed

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
DISTRIBUTION = "docker-remedy"
LEGACY = "python-iptables"
_GLIBCS = ("2_17", "2_28", "2_34")  # Debian 12 has 2.36; a wheel for an older glibc runs with a newer one
_TIMEOUT_SECONDS = 600


def collect(python: str, lock: Path, directory: Path, *, machine: str) -> None:
    """Put the wheels for this Python into the directory, pip's own among them. No package is built.

    Raises RemedyError when a package is not locked, CommandError when there is no wheel.
    """
    pins = locked(lock.read_text())
    names = (*needed(DISTRIBUTION, lambda name: requires(name) or (), python=python), "pip")
    missing = [name for name in names if name not in pins]
    if missing:
        raise RemedyError(f"not in the lock file: {', '.join(missing)}", where=str(lock), next_step="make lock")
    wanted = directory / f".requirements-{python}.txt"
    wanted.write_text("\n".join(pins[name] for name in names) + "\n")
    platforms = [f"--platform=manylinux_{glibc}_{machine}" for glibc in _GLIBCS]
    try:
        _pip(
            *("download", "--no-deps", "--only-binary=:all:", "--require-hashes", "--requirement", str(wanted)),
            *(f"--python-version={python}", "--implementation=cp", *platforms, "--dest", str(directory)),
        )
    finally:
        wanted.unlink()


def build_legacy(lock: Path, directory: Path) -> None:
    """Build the wheel of python-iptables for the Python that runs this; the index has none."""
    wanted = directory / ".requirements-legacy.txt"
    wanted.write_text(locked(lock.read_text())[LEGACY] + "\n")
    try:
        _pip("wheel", "--no-deps", "--require-hashes", "--requirement", str(wanted), "--wheel-dir", str(directory))
    finally:
        wanted.unlink()


def build_remedy(checkout: Path, directory: Path) -> None:
    """Build remedy's own wheel from the checkout."""
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(directory), str(checkout))


def _pip(*arguments: str) -> None:
    command = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")
    run_command([*command, *arguments], timeout=_TIMEOUT_SECONDS)
