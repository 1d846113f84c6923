"""`python -m remedy.wheels`: everything that installs remedy offline, in one directory."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Annotated

import typer

from remedy.errors import RemedyError
from remedy.wheels.collect import PYTHONS, build_legacy, build_remedy, collect

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def wheels(
    directory: Annotated[Path, typer.Argument(help="where the wheels go; made if it is not there")],
    checkout: Annotated[Path, typer.Option(help="the checkout that remedy is built from")] = Path(),
    python: Annotated[list[str] | None, typer.Option(help=f"the hosts' Python; default {', '.join(PYTHONS)}")] = None,
    machine: Annotated[str, typer.Option(help="the hosts' machine: x86_64, aarch64")] = platform.machine(),
    legacy: Annotated[
        bool, typer.Option("--legacy", help="also build python-iptables, for this Python and this machine")
    ] = False,
) -> None:
    """Collect the wheels of remedy and of all that it needs, with the hashes of the lock file."""
    lock = checkout / "requirements.lock"
    directory.mkdir(parents=True, exist_ok=True)
    for stale in directory.glob("*.whl"):
        stale.unlink()
    build_remedy(checkout, directory)
    for version in python or PYTHONS:
        collect(version, lock, directory, machine=machine)
    if legacy:
        build_legacy(lock, directory)
    found = sorted(directory.glob("*.whl"))
    size = sum(wheel.stat().st_size for wheel in found) / 1_000_000
    typer.echo(
        f"{len(found)} wheels, {size:.1f} MB, in {directory}: Python {', '.join(python or PYTHONS)} on {machine}."
    )
    if not any(wheel.name.startswith("python_iptables") for wheel in found):
        typer.echo("Without python-iptables: hosts with iptables-legacy need it, built on a host like them (--legacy).")


if __name__ == "__main__":
    try:
        app()
    except RemedyError as error:
        typer.echo(str(error), err=True)
        sys.exit(error.exit_code)
