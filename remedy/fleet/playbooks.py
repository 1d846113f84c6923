"""The playbooks: in the installed package, else in the checkout beside it."""

from __future__ import annotations

from pathlib import Path

from remedy.errors import InputError

COLLECTIONS = "collections"
_PACKAGE = Path(__file__).parents[1]


def playbooks_directory(package: Path = _PACKAGE) -> Path:
    """Return the directory of plan.yml, apply.yml and their like. Raises InputError where this installation has none.

    package: where the package `remedy` lies.
    """
    for directory in (package / "playbooks", package.parent / "playbooks"):
        if (directory / "plan.yml").is_file():
            return directory
    raise InputError("this installation has no playbooks in it", where=str(package), next_step="install it again")
