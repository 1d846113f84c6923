"""What watches saw, kept in the state directory for the planner."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock

from remedy.facts.model import Observed
from remedy.facts.observed import FILE_NAME, ObservedFile, load_observed, merged
from remedy.host.files import make_private_directory, write_atomically


def remember(state_directory: Path, machine_id: str, seen: Observed) -> None:
    """Add what was seen to what is known. Raises InputError when that cannot be read, OSError when not written."""
    make_private_directory(state_directory)
    # Two watches at once must not forget each other's.
    with FileLock(str(state_directory / f"{FILE_NAME}.lock"), mode=0o600):
        known = load_observed(state_directory, machine_id)
        content = ObservedFile(machine_id=machine_id, observed=merged(known, seen))
        write_atomically(state_directory / FILE_NAME, content.model_dump_json(indent=1).encode() + b"\n", mode=0o600)
