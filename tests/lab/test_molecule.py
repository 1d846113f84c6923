"""One scenario of Molecule in every test run, so that none of them rots; `make test-all` plays them all."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from controlling import PROGRAMS, REPOSITORY

pytestmark = pytest.mark.lab


def test_molecule_plays_uninstall(wheels: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAMS / "molecule", "test", "--scenario-name", "uninstall"],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
        cwd=REPOSITORY,
        env={
            **os.environ,
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
            "REMEDY_WHEELS": str(wheels),
            # Beside a Molecule that somebody runs by hand.
            "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path / "molecule"),
            "NO_COLOR": "1",
        },
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]
